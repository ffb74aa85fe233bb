/**
 * A routing policy as `--router-module` loads it: short prompts go to the first instance, so that they
 * never queue behind long ones; long prompts take turns among the others. Called once per request, and
 * once more for the choice of a decode instance; returns a position in `candidates`.
 */
/** The median of the shipped ShareGPT-like workload: half of its requests are short. */
const shortTokens = 700;

export default (candidates, request, state) => {
  if (candidates.length === 1 || request.promptTokens <= shortTokens) return 0;
  const others = candidates.length - 1;
  return 1 + (state.cursor++ % others);
};
