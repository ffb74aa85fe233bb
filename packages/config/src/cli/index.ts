export { loadCalibration } from './load-calibration.js';
export { findModel, type LoadClusterOptions, loadCluster, loadSizeTable } from './load-cluster.js';
