export { findModel, type LoadClusterOptions, loadCluster } from './load-cluster.js';
