import {AppError} from '../../schemas/errors.ts';
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
 * `root` always exists. `configured` names exist too; they map to a system user, or to the runtime's own.
 * Other system users exist only where the runtime may become them, that is as root.
 */
export function createCronUsers(configured: readonly string[]): CronUsers {
  const runsAsRoot = ownUserId() === 0;

  async function list(): Promise<CronUser[]> {
    const accounts = runsAsRoot ? await readSystemUsers() : [];
    const names = new Set(['root', ...configured, ...accounts.map(({name}) => name)]);
    return [...names].filter(isUserName).map((name) => {
      const account = accounts.find((candidate) => candidate.name === name);
      return {name, account: account === undefined || account.uid === 0 ? null : account};
    });
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
      return user;
    },
  };
}

/** The names double as file names, hence no `.` and `..`. */
export function isUserName(name: string): boolean {
  return /^(?!-)(?!\.{1,2}$)[A-Za-z0-9_.-]{1,32}$/.test(name);
}
