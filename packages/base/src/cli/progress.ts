/** A bar on stderr, at most four updates a second, only when stderr is a terminal. */
import { Presets, SingleBar } from 'cli-progress';

export class Progress {
  private readonly bar: SingleBar;
  private readonly quiet: boolean;
  private started = false;

  constructor(quiet = false) {
    this.quiet = quiet;
    this.bar = new SingleBar(
      {
        format: '[{bar}] {text}',
        stream: process.stderr,
        fps: 4,
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        noTTYOutput: false,
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
  }

  /** @param fraction of the work done, in [0, 1]. @param text what is being done. */
  update(fraction: number, text: string): void {
    if (this.quiet || process.stderr.isTTY !== true) return;
    if (!this.started) {
      this.started = true;
      this.bar.start(1, 0, { text });
    }
    this.bar.update(Math.min(1, Math.max(0, fraction)), { text });
  }

  /** Clears the line. */
  end(): void {
    if (this.started) this.bar.stop();
    this.started = false;
  }
}
