/**
 * The power states of one accelerator over time: active while it computes or communicates; standby
 * while a step has it waiting and for a while after its last step (clocks stay up; 18 s on an
 * A6000); idle otherwise. Every nanosecond of the run is in exactly one state.
 */
export interface StateTimes {
  idleNs: number;
  standbyNs: number;
  activeNs: number;
}

type State = 'idle' | 'standby' | 'active';
/** Tells where the time of one state went, for its energy. */
type OnState = (state: State, startNs: number, endNs: number, durationNs: number) => void;

export class DeviceStates {
  readonly times: StateTimes = { idleNs: 0, standbyNs: 0, activeNs: 0 };
  private cursorNs = 0;
  private everActive = false;
  private readonly standbyLimitNs: number;
  private readonly onState: OnState;

  constructor(standbyLimitNs: number, onState: OnState) {
    this.standbyLimitNs = standbyLimitNs;
    this.onState = onState;
  }

  /**
   * The device ran (a part of) a step. Steps come in order of their ends; one that began before the
   * previous one ended counts from there.
   * @param busyNs compute and exposed communication within the step; the rest of it is waiting
   * @returns busy time counted
   */
  step(startNs: number, endNs: number, busyNs: number): number {
    const from = Math.max(startNs, this.cursorNs);
    if (endNs <= from) return 0;
    this.pause(from);
    const spanNs = endNs - from;
    const activeNs = Math.min(spanNs, busyNs);
    this.spend('active', from, endNs, activeNs);
    this.spend('standby', from, endNs, spanNs - activeNs);
    this.cursorNs = endNs;
    this.everActive = true;
    return activeNs;
  }

  /** The run is over; nothing may follow. */
  finish(endNs: number): void {
    this.pause(Math.max(endNs, this.cursorNs));
  }

  private pause(untilNs: number): void {
    const from = this.cursorNs;
    const standbyNs = this.everActive ? Math.min(untilNs - from, this.standbyLimitNs) : 0;
    this.spend('standby', from, from + standbyNs, standbyNs);
    this.spend('idle', from + standbyNs, untilNs, untilNs - from - standbyNs);
    this.cursorNs = untilNs;
  }

  private spend(state: State, startNs: number, endNs: number, durationNs: number): void {
    if (durationNs <= 0) return;
    this.times[`${state}Ns`] += durationNs;
    this.onState(state, startNs, endNs, durationNs);
  }
}
