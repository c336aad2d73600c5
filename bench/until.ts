import type {RunningController} from '../test/helpers/controller-world.ts';

/** Between two looks at a crontab. */
const lookMs = 2;
/** A push that is not active by then is reported as an error of the bench. */
const longestMs = 60_000;

/** Resolves when so many branches are ready. */
export async function untilActive({client}: RunningController, count: number): Promise<void> {
  const signal = AbortSignal.timeout(10 * 60_000);
  for await (const _event of client.events({signal})) {
    const branches = await client.branches();
    const ready = branches.filter(({conditions}) =>
      conditions.some(({type, status}) => type === 'Ready' && status === 'True'),
    );
    if (ready.length === count) return;
  }
}

/** Epoch ms at which the crontab at `url` was seen to be `text`; looked for until a minute after `startMs`. */
export async function untilShown(url: string, text: string, startMs: number): Promise<number> {
  for (;;) {
    const response = await fetch(url, {headers: {Accept: 'text/plain'}});
    const shown = await response.text();
    const nowMs = performance.timeOrigin + performance.now();
    if (shown === text) return nowMs;
    if (nowMs > startMs + longestMs)
      throw new Error(`the push was not active after ${longestMs} ms; ${url} shows: ${shown}`);
    await Bun.sleep(lookMs);
  }
}
