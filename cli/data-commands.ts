import type {Command} from 'commander';
import type {CommandContext} from './command-context.ts';

/** The word `data`. */
export function addDataCommands(
  program: Command,
  {client, environment, terminal, finish}: CommandContext,
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
