import type {Command} from 'commander';
import type {CommandContext} from './command-context.ts';

/** The words `containers` and `snapshots`. */
export function addContainerCommands(
  program: Command,
  {client, environment, terminal, finish}: CommandContext,
): void {
  const containers = program.command('containers').description('containers of branches, and standalone ones');
  client(containers.command('list').description('list them with the addresses of their kits')).action(
    async (flags) =>
      finish(await (await import('./commands/containers.ts')).listContainers(flags, environment, terminal)),
  );

  client(
    containers
      .command('create')
      .description('make a standalone container, which no branch owns, and print its id')
      .option('--from <snapshot>', 'start with the files of this snapshot')
      .option('--with-data', 'and with its data directory, which is empty otherwise')
      .option('--name <name>', 'name of the container (default: a made up one)'),
  ).action(async (flags) =>
    finish(await (await import('./commands/containers.ts')).createContainer(flags, environment, terminal)),
  );
  client(
    containers
      .command('get')
      .description('one container with the addresses of its kits')
      .argument('<container>', 'id, branch or name'),
  ).action(async (container, flags) =>
    finish(
      await (await import('./commands/containers.ts')).getContainer(container, flags, environment, terminal),
    ),
  );
  for (const [operation, does] of [
    ['start', 'start a standalone container that was stopped'],
    ['stop', 'end the jobs of a standalone container and keep its files'],
    ['restart', 'end the jobs of a standalone container and start it again'],
  ] as const) {
    client(containers.command(operation).description(does).argument('<container>', 'id or name')).action(
      async (container, flags) =>
        finish(
          await (await import('./commands/containers.ts')).operateContainer(
            container,
            operation,
            flags,
            environment,
            terminal,
          ),
        ),
    );
  }
  const inContainer = (command: Command) =>
    client(command).option('--user <name>', 'user of the container', 'root');
  inContainer(
    containers
      .command('exec')
      .description('run a command in a container as its jobs run; one word is a line for the shell')
      .argument('<container>', 'id, branch or name')
      .argument('<command...>', 'after --'),
  ).action(async (container, words, flags) =>
    finish(
      await (await import('./commands/containers.ts')).execInContainer(
        container,
        words,
        flags,
        environment,
        terminal,
      ),
    ),
  );
  inContainer(
    containers
      .command('logs')
      .description('output of its last runs')
      .argument('<container>', 'id, branch or name'),
  )
    .option('--limit <count>', 'how many runs', '20')
    .action(async (container, flags) =>
      finish(
        await (await import('./commands/containers.ts')).containerLogs(
          container,
          flags,
          environment,
          terminal,
        ),
      ),
    );
  client(
    containers
      .command('delete')
      .description('end its jobs and remove a standalone container with all its files')
      .argument('<container>', 'id or name'),
  ).action(async (container, flags) =>
    finish(
      await (await import('./commands/containers.ts')).deleteContainer(
        container,
        flags,
        environment,
        terminal,
      ),
    ),
  );

  const snapshots = program.command('snapshots').description('points in time of the files of containers');
  client(snapshots.command('list').description('list them')).action(async (flags) =>
    finish(await (await import('./commands/snapshots.ts')).listSnapshots(flags, environment, terminal)),
  );
  client(
    snapshots
      .command('create')
      .description('copy the files of a container; an older snapshot of that name is replaced')
      .argument('<container>', 'branch, or id or name of a container')
      .argument('<name>', 'name of the snapshot'),
  ).action(async (container, name, flags) =>
    finish(
      await (await import('./commands/snapshots.ts')).createSnapshot(
        container,
        name,
        flags,
        environment,
        terminal,
      ),
    ),
  );
  client(
    snapshots
      .command('delete')
      .description('remove one; containers made from it stay')
      .argument('<name>', 'name of the snapshot'),
  ).action(async (name, flags) =>
    finish(
      await (await import('./commands/snapshots.ts')).deleteSnapshot(name, flags, environment, terminal),
    ),
  );
}
