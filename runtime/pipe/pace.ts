import type {ByteSource, SourceReader} from '../platform/byte-flow.ts';
import type {Clock} from '../platform/clock.ts';

/** Slices come so often: often enough to look steady, seldom enough to cost nothing. */
const sliceMs = 50;

/** The same bytes at no more than this many a second. What a reader held up is not caught up on. */
export function paced(source: ByteSource, bytesPerSecond: number, clock: Clock): ByteSource {
  const sliceBytes = Math.max(1, Math.round((bytesPerSecond * sliceMs) / 1000));
  let reader: SourceReader | null = null;
  let rest: Uint8Array = new Uint8Array(0);
  let dueMs = Number.NEGATIVE_INFINITY;
  let isPaused = false;
  let isRunning = false;
  let ending: 'end' | 'cut' | null = null;

  async function run(to: SourceReader): Promise<void> {
    isRunning = true;
    while (rest.length > 0 && !isPaused && ending !== 'cut') {
      const slice = rest.subarray(0, sliceBytes);
      const fullSliceMs = (slice.length * 1000) / bytesPerSecond;
      // Never longer than the slice takes: the wall clock may be set back.
      const waitMs = Math.min(dueMs - clock.now(), fullSliceMs);
      if (waitMs > 0) {
        await clock.sleep(waitMs);
        continue;
      }
      dueMs = Math.max(dueMs, clock.now() - sliceMs) + fullSliceMs;
      rest = rest.subarray(slice.length);
      to.chunk(slice);
    }
    isRunning = false;
    if (ending === 'cut') to.cut();
    else if (rest.length === 0 && ending === 'end') to.end();
    else if (rest.length === 0 && !isPaused) source.resume();
  }

  function goOn(): void {
    if (reader !== null && !isRunning) void run(reader);
  }

  return {
    start(to) {
      reader = to;
      source.start({
        chunk(bytes) {
          source.pause();
          rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
          goOn();
        },
        end() {
          ending = 'end';
          goOn();
        },
        cut() {
          ending = 'cut';
          goOn();
        },
      });
    },
    pause() {
      isPaused = true;
      source.pause();
    },
    resume() {
      isPaused = false;
      goOn();
    },
  };
}
