export { type LintTarget, lintTargets } from './check-node.js';
export {
  type Finding,
  formatFinding,
  type LintInput,
  type LintRule,
  lintRules,
  type Severity,
} from './finding.js';
export { graphPlace, type LintOptions, type LintReport, lint } from './lint.js';
