/** Fitted links in place of a cluster file's nominal ones, inside tensor-parallel groups. */
import type { Calibration, DeviceCalibration } from './calibration.js';
import { npuHardware } from './measured-links.js';
import type { Cluster, Instance } from './resolved-cluster.js';

type FittedLink = NonNullable<DeviceCalibration['link']>;

/**
 * The cluster with the fitted link of its devices as the innermost level. Only where all devices
 * share a calibration, where the file gives one figure for all links, no topology and no node of other
 * links, and where that figure is nominal: the file says so, or it is the one that the fit began with and
 * has no latency. What a user measured stays.
 */
export function calibrateLinks(cluster: Cluster, calibration: Calibration): Cluster {
  const [[, link] = []] = fittedLinks(cluster, calibration);
  if (link === undefined || whyNot(cluster, link) !== undefined) return cluster;
  return {
    ...cluster,
    linkBandwidthGBps: [link.bandwidth_gb_s, ...cluster.linkBandwidthGBps],
    linkLatencyNs: [link.latency_ns, ...cluster.linkLatencyNs],
  };
}

/**
 * What a user should know about links that were fitted and that `calibrateLinks` leaves out, a sentence
 * each; none where no group is connected by them, or measured tables stand in.
 */
export function unusedLinks(cluster: Cluster, calibration: Calibration): string[] {
  if (cluster.measuredLinks !== undefined) return [];
  const grouped = new Set(cluster.instances.flatMap(groupedHardware));
  return fittedLinks(cluster, calibration).flatMap(([hardware, link]) => {
    const reason = whyNot(cluster, link);
    if (reason === undefined || !grouped.has(hardware)) return [];
    return [
      `the link fitted for ${hardware} (${link.bandwidth_gb_s} GB/s) is not used, as ${reason}; ` +
        'the step overhead, fitted beside it, is',
    ];
  });
}

/** Devices that tensor parallelism connects; feed-forward devices have a degree of their own. */
function groupedHardware({ ffn, ...attention }: Instance): string[] {
  const own = attention.tp > 1 ? npuHardware(attention) : [];
  return ffn !== undefined && ffn.tp > 1 ? [...own, ffn.hardware] : own;
}

/** Of all devices: stages and feed-forward devices may be others than their instance's. */
function hardwareOf({ instances }: Cluster): string[] {
  return [...new Set(instances.flatMap((one) => npuHardware(one)))];
}

function fittedLinks(cluster: Cluster, { devices }: Calibration): [string, FittedLink][] {
  return hardwareOf(cluster).flatMap((name) => {
    const link = devices[name]?.link;
    return link === undefined ? [] : [[name, link] as [string, FittedLink]];
  });
}

function whyNot(cluster: Cluster, link: FittedLink): string | undefined {
  const { linkBandwidthGBps, linkLatencyNs, linkIsNominal, topology, nodes } = cluster;
  if (hardwareOf(cluster).length > 1) return 'devices differ';
  if (topology !== undefined) return 'the cluster file gives a topology';
  if (nodes.some(({ linkGBps }) => linkGBps !== undefined)) return 'a node has links of its own';
  if (linkBandwidthGBps.length !== 1 || linkLatencyNs.length !== 1) {
    return 'the cluster file gives links per dimension';
  }
  const [bandwidth] = linkBandwidthGBps;
  const [latency] = linkLatencyNs;
  if (linkIsNominal === true) {
    return link.bandwidth_gb_s <= bandwidth ? undefined : `link_bw is less, ${bandwidth}`;
  }
  if (bandwidth === link.nominal_gb_s && latency === 0) return undefined;
  return (
    `the cluster file's stays (${bandwidth} GB/s, ${latency} ns): it is not said to be nominal ` +
    `(link_nominal), nor ${link.nominal_gb_s} GB/s without latency`
  );
}
