import {existsSync} from 'node:fs';
import {ownUserId} from './system-users.ts';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export type Command = readonly [string, ...string[]];

/** Where util-linux puts the program that also sets supplementary groups. */
const groupPrograms = ['/usr/bin/setpriv', '/bin/setpriv'] as const;

/**
 * The command as it must be started for it to run as somebody else, and what whoever starts it has to set itself. Only
 * root can become somebody else. Without `setpriv` a process has its user and primary group and no further one.
 * `program`: where the command's program is; null where it is not, so that its start fails with its own name.
 */
export function becoming(
  identity: Identity | null,
  command: Command,
  program: string | null,
): {readonly command: Command; readonly identity: Identity | null} {
  if (identity === null) return {command, identity};
  const setGroups = ownUserId() === 0 ? groupPrograms.find((path) => existsSync(path)) : undefined;
  if (setGroups === undefined || program === null) return {command, identity};
  const become = ['--reuid', String(identity.uid), '--regid', String(identity.gid), '--init-groups', '--'];
  return {command: [setGroups, ...become, ...command], identity: null};
}
