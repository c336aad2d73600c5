import type {ControllerClient} from '../api/controller-client.ts';
import {AppError} from '../schemas/errors.ts';

/**
 * The events of the controller until Ctrl-C, which is an ordinary end. Throws AppError CONTROLLER_UNREACHABLE
 * when the controller ends first.
 */
export async function* eventsUntilInterrupt(
  client: ControllerClient,
): AsyncGenerator<{type: string; key: string}> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  try {
    yield* client.events({signal: interrupted.signal});
  } catch (error) {
    if (error instanceof AppError) throw error;
    if (!interrupted.signal.aborted) throw controllerEnded(client, error);
  } finally {
    process.off('SIGINT', interrupt);
  }
  if (!interrupted.signal.aborted) throw controllerEnded(client);
}

function controllerEnded({url}: ControllerClient, cause?: unknown): AppError {
  return new AppError(
    'CONTROLLER_UNREACHABLE',
    `The controller at ${url} ended; start it again with \`branchtab up\`.`,
    {cause},
  );
}
