import {AppError} from '../schemas/errors.ts';
import type {ShellRequest, ShellSize} from '../schemas/shell.ts';
import type {Container} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';
import type {RequestOptions, RuntimeClient} from './runtime-client.ts';

/** Programs that people run in containers of branches. Errors are AppErrors; CONTAINER_UNAVAILABLE where nothing runs. */
export interface BranchShells {
  /** Lines of `ShellEvent`; leaving them ends the program. */
  openShell(
    keyOrName: string,
    request: ShellRequest,
    options: RequestOptions,
  ): Promise<ReadableStream<Uint8Array>>;
  /** Throws SHELL_NOT_FOUND. */
  shellInput(
    keyOrName: string,
    id: string,
    input: {bytes: Uint8Array; end: boolean} & RequestOptions,
  ): Promise<void>;
  resizeShell(keyOrName: string, id: string, size: ShellSize, options: RequestOptions): Promise<void>;
}

export function createBranchShells({options, table, guard}: ControllerContext): BranchShells {
  const runtimeOf = (
    keyOrName: string,
  ): {client: RuntimeClient; container: Container; repository: string} => {
    const {key, branch, repository} = table.find(keyOrName);
    const {container} = table.observed(key);
    if (container?.state !== 'running')
      throw new AppError(
        'CONTAINER_UNAVAILABLE',
        `The container of ${branch} does not run; see: branchtab status`,
      );
    return {client: options.client(container), container, repository};
  };

  return {
    async openShell(keyOrName, request, {signal}) {
      const {client, container, repository} = runtimeOf(keyOrName);
      await guard.require(repository);
      options.log.info('a shell is opened', {branch: keyOrName, container: container.id});
      return client.openShell(request, {signal});
    },
    shellInput: (keyOrName, id, {bytes, end, signal}) =>
      runtimeOf(keyOrName).client.shellInput(id, bytes, {end, signal}),
    resizeShell: (keyOrName, id, size, {signal}) =>
      runtimeOf(keyOrName).client.resizeShell(id, size, {signal}),
  };
}
