import type {Log} from '../runtime/platform/log.ts';
import type {Container} from './containers/provider.ts';
import {pauseReasons} from './plan.ts';
import type {RuntimeClient} from './runtime-client.ts';

/** Pauses what runs of a repository that belongs to another controller now, which runs the same: no job runs twice. */
export async function standDown(
  containers: readonly Container[],
  {client, log, signal}: {client: (container: Container) => RuntimeClient; log: Log; signal: AbortSignal},
): Promise<void> {
  const reason = pauseReasons.takenOver;
  await Promise.all(
    containers.map(async (container) => {
      try {
        const {schedule} = await client(container).state({signal});
        if (schedule.state === 'running')
          await client(container).setSchedule({state: 'paused', reason}, {signal});
      } catch (error) {
        log.error('a schedule that another controller runs now could not be paused', {
          id: container.id,
          error,
        });
      }
    }),
  );
}
