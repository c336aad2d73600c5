import {readTextIfPresent} from './durable-file.ts';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The accounts of `/etc/passwd` in their order; none where there is no such file. */
export async function readSystemUsers(path = '/etc/passwd'): Promise<SystemUser[]> {
  const text = (await readTextIfPresent(path)) ?? '';
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = '', , home = '/'] = line.split(':');
    const valid = name !== '' && /^\d+$/.test(uid) && /^\d+$/.test(gid);
    return valid ? [{name, uid: Number(uid), gid: Number(gid), home}] : [];
  });
}

/** The numeric id of the user that this process runs as; 0 is root. */
export function ownUserId(): number {
  return process.getuid?.() ?? 0;
}
