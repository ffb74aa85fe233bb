/** Factors between units. GB is 10^9 and GiB 2^30, everywhere. */
export const nsPerUs = 1_000;
export const nsPerMs = 1_000_000;
export const nsPerS = 1_000_000_000;
export const bytesPerMiB = 2 ** 20;
export const bytesPerGiB = 2 ** 30;
