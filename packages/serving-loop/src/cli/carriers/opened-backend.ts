/** A backend and the two ways to end it; it leaves no process and no temporary file. */
import type { LookupCounts } from '@astrolabe/profile';
import type { Backend } from '../../backend.js';

export interface OpenedBackend {
  readonly backend: Backend;
  /** Ends all stages in good order. @returns lookups, if the generator was ours */
  finish(): Promise<LookupCounts | undefined>;
  /** Ends all stages at once. */
  abort(): Promise<void>;
}
