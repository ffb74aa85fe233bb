export { loadExpertRouters } from './load-expert-routers.js';
