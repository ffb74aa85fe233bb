export { loadCalibration } from './load-calibration.js';
export { findModel, loadCluster, loadSizeTable } from './load-cluster.js';
