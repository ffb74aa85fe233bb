/** Fitted links in place of a cluster file's nominal ones, inside tensor-parallel groups. */
import type { Calibration } from './calibration.js';
import type { Cluster } from './resolved-cluster.js';

/**
 * The cluster with the fitted link of its devices as the innermost level. Only where all devices
 * share a calibration whose nominal bandwidth is the file's, where the file gives one figure for all
 * links, no topology and no node of other links, and where it gives no latency: what a user measured stays.
 */
export function calibrateLinks(cluster: Cluster, calibration: Calibration): Cluster {
  const hardware = new Set(cluster.instances.map((instance) => instance.hardware));
  const [only] = hardware;
  const link = hardware.size === 1 ? calibration.devices[only]?.link : undefined;
  const { linkBandwidthGBps, linkLatencyNs, topology, nodes } = cluster;
  if (link === undefined || topology !== undefined) return cluster;
  if (nodes.some(({ linkGBps }) => linkGBps !== undefined)) return cluster;
  if (linkBandwidthGBps.length !== 1 || linkLatencyNs.length !== 1) return cluster;
  if (linkBandwidthGBps[0] !== link.nominal_gb_s || linkLatencyNs[0] !== 0) return cluster;
  return {
    ...cluster,
    linkBandwidthGBps: [link.bandwidth_gb_s, ...linkBandwidthGBps],
    linkLatencyNs: [link.latency_ns, ...linkLatencyNs],
  };
}
