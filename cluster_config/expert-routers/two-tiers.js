/**
 * An expert router as a cluster file may name it (`experts.module`): of every layer's experts a quarter,
 * another one per layer, gets half of the tokens, the others share the rest. Called once per layer and
 * step; returns how many tokens each expert gets.
 */
export default ({ layer, tokens, numExperts, expertsPerToken }) => {
  const hot = Math.max(expertsPerToken, numExperts / 4);
  const picks = tokens * expertsPerToken;
  return Array.from({ length: numExperts }, (_, expert) => {
    const isHot = (expert + layer * hot) % numExperts < hot;
    return isHot ? picks / 2 / hot : picks / 2 / (numExperts - hot);
  });
};
