import type {ContainerUser} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import {userNamePattern} from '../../schemas/user-name.ts';
import {ownUserId, readSystemUsers, type SystemUser} from '../platform/system-users.ts';

/** Whom a crontab belongs to and as whom its jobs run. */
export interface CronUser {
  readonly name: string;
  /** null where jobs run as the runtime's own user. */
  readonly account: SystemUser | null;
}

export interface CronUsers {
  /** Throws INVALID_USER or USER_NOT_FOUND. */
  find(name: string): Promise<CronUser>;
  list(): Promise<CronUser[]>;
}

/**
 * `root` always exists. `configured` names exist too, asked for each time; they map to a system user, or to the
 * runtime's own. Other system users exist only where the runtime may become them, that is as root.
 */
export function createCronUsers(configured: () => readonly ContainerUser[]): CronUsers {
  const runsAsRoot = ownUserId() === 0;

  async function list(): Promise<CronUser[]> {
    const accounts = runsAsRoot ? await readSystemUsers() : [];
    const mapped = new Map(configured().map(({name, account}) => [name, account ?? name]));
    const names = new Set(['root', ...mapped.keys(), ...accounts.map(({name}) => name)]);
    return [...names].filter(isUserName).map((name) => {
      const account = accounts.find((candidate) => candidate.name === (mapped.get(name) ?? name));
      return {name, account: account === undefined || account.uid === 0 ? null : account};
    });
  }

  /** A name that is to be somebody in particular never runs as root instead. */
  function requireAccount({name, account}: CronUser): void {
    const wanted = configured().find((user) => user.name === name)?.account ?? null;
    if (wanted === null || account !== null || !runsAsRoot) return;
    throw new AppError(
      'USER_NOT_FOUND',
      `The jobs of \`${name}\` are to run as the system user \`${wanted}\`, which does not exist here or is root.`,
    );
  }

  return {
    list,
    async find(name) {
      if (!isUserName(name)) {
        throw new AppError(
          'INVALID_USER',
          'A user name has 1 to 32 letters, digits, `_`, `.` or `-` and does not begin with `-`.',
        );
      }
      // Most jobs are root's; they need no look into the accounts.
      if (name === 'root') return {name, account: null};
      const user = (await list()).find((candidate) => candidate.name === name);
      if (user === undefined)
        throw new AppError('USER_NOT_FOUND', `There is no user \`${name}\` in this container.`);
      requireAccount(user);
      return user;
    },
  };
}

export function isUserName(name: string): boolean {
  return userNamePattern.test(name);
}
