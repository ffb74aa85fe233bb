export { loadExpertRouters } from './load-expert-routers.js';
export { addTermOptions, termOptions } from './term-options.js';
