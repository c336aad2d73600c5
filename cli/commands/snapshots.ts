import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {withProgress} from '../progress.ts';
import type {Environment} from '../settings.ts';
import {formatTable, printable, type Terminal} from '../terminal.ts';

type Flags = ConnectionFlags & {json?: boolean};

/** `branchtab snapshots list`. */
export async function listSnapshots(
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const items = await client.snapshots();
  if (flags.json) terminal.out(`${JSON.stringify({items})}\n`);
  else if (items.length === 0) terminal.err('No snapshots.\n');
  else {
    const heading = ['NAME', 'CONTAINER', 'CREATED'].map((text) => terminal.paint.bold(text));
    const rows = items.map(({name, container_id, created_at}) => [name, container_id, created_at]);
    terminal.out(formatTable([heading, ...rows]));
  }
  return exitCodes.ok;
}

/** `branchtab snapshots create`: prints the name, which `containers create --from` takes. */
export async function createSnapshot(
  container: string,
  name: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const copying = `Copying the files of ${printable(container)}...`;
  const snapshot = await withProgress(terminal, copying, client.createSnapshot({container, name}));
  terminal.out(`${flags.json ? JSON.stringify(snapshot) : snapshot.name}\n`);
  return exitCodes.ok;
}

/** `branchtab snapshots delete`: containers that were made from it stay. */
export async function deleteSnapshot(
  name: string,
  flags: Flags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  await withProgress(terminal, `Deleting ${printable(name)}...`, client.deleteSnapshot(name));
  terminal.out(flags.json ? `${JSON.stringify({deleted: true})}\n` : `Deleted ${printable(name)}.\n`);
  return exitCodes.ok;
}
