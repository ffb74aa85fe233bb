/**
 * Nsight Systems' kernel summary (cuda_gpu_kern_sum as CSV): mean time and count per kernel, without
 * shapes. Kernels are grouped to operators by name, one point each: for a look, not for a model.
 */
import type { CsvAdapter } from './adapter.js';
import { kernelOperator } from './kernel-names.js';

export const nsysSummary: CsvAdapter = {
  name: 'Nsight Systems cuda_gpu_kern_sum',
  matches: (header) =>
    ['Total Time (ns)', 'Instances', 'Avg (ns)', 'Name'].every((name) => header.includes(name)),
  read(csv, options, into) {
    const total = csv.column('Total Time (ns)');
    const instances = csv.column('Instances');
    const name = csv.column('Name');
    const sums = new Map<string, { ns: number; count: number }>();
    for (let i = 0; i < csv.rows.length; i++) {
      const operator = kernelOperator(csv.rows[i][name]);
      const sum = sums.get(operator) ?? { ns: 0, count: 0 };
      sum.ns += csv.durationNs(i, total, 1);
      sum.count += csv.count(i, instances);
      sums.set(operator, sum);
    }
    for (const [operator, { ns, count }] of sums) {
      into.add({
        kind: 'dense',
        operator,
        tp: options.tp,
        tokens: 1,
        durationNs: Math.max(1, Math.round(ns / Math.max(1, count))),
      });
    }
    const notes = ['kernel means without shapes: one point each, for comparison only'];
    return { measurement: 'kernel', source: 'Nsight Systems kernel summary', notes };
  },
};
