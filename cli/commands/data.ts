import {AppError} from '../../schemas/errors.ts';
import {isConfirmed} from '../confirmation.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {withProgress} from '../progress.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

type Flags = ConnectionFlags & {json?: boolean};

/** `branchtab data backup`: prints the id, which `data restore --backup` takes. */
export async function backupData(
  branch: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const copying = `Copying the data of ${printable(branch)}...`;
  const backup = await withProgress(terminal, copying, client.backupData(branch));
  terminal.out(`${flags.json ? JSON.stringify(backup) : backup.id}\n`);
  if (!flags.json && backup.uncertain.length > 0) terminal.err(uncertainText(backup.uncertain));
  return exitCodes.ok;
}

/** `branchtab data list`. Exit code 1 while the newest backup could not be made. */
export async function listBackups(
  branch: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const list = await client.backups(branch);
  const {items, problem} = list;
  if (flags.json) terminal.out(`${JSON.stringify(list)}\n`);
  else if (items.length === 0) terminal.err('No backups yet.\n');
  else {
    const heading = ['BACKUP', 'CREATED', 'BYTES', 'FILES', 'DATABASES', ''].map((text) =>
      terminal.paint.bold(text),
    );
    const rows = items.map(({id, created_at, bytes, files, databases, uncertain}) => [
      id,
      created_at,
      String(bytes),
      String(files),
      String(databases),
      uncertain.length === 0 ? '' : `${uncertain.length} uncertain`,
    ]);
    terminal.out(formatTable([heading, ...rows]));
  }
  if (problem !== null && !flags.json) terminal.err(`The newest backup failed: ${printable(problem)}\n`);
  return problem === null ? exitCodes.ok : exitCodes.failed;
}

/** `branchtab data restore`: jobs are stopped meanwhile; what is in the data directory is replaced. */
export async function restoreData(
  branch: string,
  flags: Flags & {backup?: string; withoutBackup?: boolean; yes?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const {key, branch: name} = await client.branch(branch);
  if (flags.yes !== true) {
    if (!process.stdin.isTTY)
      throw new AppError(
        'CONFIG_INVALID',
        'restore replaces what is in the data directory: confirm it with --yes.',
      );
    terminal.err(`This stops the jobs of ${printable(name)} and replaces what is in its data directory.\n`);
    if (!(await isConfirmed('restore'))) return exitCodes.failed;
  }
  const request = {backup: flags.backup ?? null, without_backup: flags.withoutBackup ?? false};
  const waiting = `Putting back the data of ${printable(name)}...`;
  const restored = await withProgress(terminal, waiting, client.restoreData(key, request));
  if (flags.json) terminal.out(`${JSON.stringify(restored)}\n`);
  else
    terminal.out(
      `${printable(name)} has its data back${request.without_backup ? ', as far as they were left' : ''}.\n`,
    );
  return exitCodes.ok;
}

function uncertainText(paths: readonly string[]): string {
  return `Changed while they were copied, or no database that SQLite can read: ${paths.map(printable).join(', ')}\n`;
}
