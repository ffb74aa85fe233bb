export { loadCalibration } from './load-calibration.js';
export { findModel, type LoadClusterOptions, loadCluster } from './load-cluster.js';
