import type {Command} from 'commander';
import type {ExitCode} from './exit-codes.ts';
import type {Environment} from './settings.ts';
import type {Terminal} from './terminal.ts';

/** The word `data`. `client` adds the options of commands that talk to a controller. */
export function addDataCommands(
  program: Command,
  {
    client,
    environment,
    terminal,
    finish,
  }: {
    client: (command: Command) => Command;
    environment: Environment;
    terminal: Terminal;
    finish: (code: ExitCode) => void;
  },
): void {
  const data = program.command('data').description('backups of the data directory of a branch');
  const word = (name: string, description: string) =>
    client(data.command(name).description(description).argument('<branch>', 'name or key'));
  word('backup', 'copy it now and print the id of the backup').action(async (branch, flags) =>
    finish(await (await import('./commands/data.ts')).backupData(branch, flags, environment, terminal)),
  );
  word('list', 'backups, newest first; exit code 1 while the newest one could not be made').action(
    async (branch, flags) =>
      finish(await (await import('./commands/data.ts')).listBackups(branch, flags, environment, terminal)),
  );
  word('restore', 'stop the jobs, put a backup in its place, and go on')
    .option('--backup <id>', 'this one (default: the newest)')
    .option('--without-backup', 'where the data are lost: go on with what is left, which may be nothing')
    .option('--yes', 'do not ask')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/data.ts')).restoreData(branch, flags, environment, terminal)),
    );
}
