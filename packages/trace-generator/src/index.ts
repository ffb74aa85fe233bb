export * from './iteration.js';
