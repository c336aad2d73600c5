import {AppError} from '../../schemas/errors.ts';
import {basicAuthorization, type Credentials, type RemoteAddress} from './repository-address.ts';

/** How a remote lets us in. What is secret stands elsewhere and is read anew for every command. */
export type RemoteAccess =
  /** What the address carries, or what the user's own git and ssh have. */
  | {readonly kind: 'address'}
  | {readonly kind: 'token'; readonly user: string; readonly read: () => Promise<string>}
  | {readonly kind: 'ssh_key'; readonly keyFile: string; readonly knownHostsFile: string | null}
  /** As `credential.helper` of git: the name of a helper, a path, or `!` and a shell command. */
  | {readonly kind: 'helper'; readonly helper: string};

/** What one command of git needs to be let in. */
export interface Admission {
  readonly configuration: readonly (readonly [string, string])[];
  readonly sshCommand: string | null;
  /** What must not be shown. */
  readonly credentials: Credentials | null;
}

/** Throws CONFIG_INVALID where such credentials do not go with the address. */
export function checkAccess({display, credentials}: RemoteAddress, {kind}: RemoteAccess): void {
  if (kind === 'address') return;
  if (credentials !== null)
    throw invalid(display, 'its address carries credentials too. Take them out of the address');
  if (kind === 'ssh_key' ? !isSsh(display) : !isHttp(display))
    throw invalid(
      display,
      kind === 'ssh_key'
        ? 'ssh_key is for ssh://... and user@host:path. Use token or helper'
        : `${kind} is for https://... and http://... Use ssh_key for ssh`,
    );
}

/** Throws CONFIG_INVALID that names the source of a secret which cannot be read. */
export async function admissionTo(
  {display, credentials}: RemoteAddress,
  access: RemoteAccess,
): Promise<Admission> {
  const none = {configuration: [], sshCommand: null, credentials};
  switch (access.kind) {
    case 'address':
      return credentials === null || !isHttp(display)
        ? none
        : {...none, configuration: [header(display, credentials)]};
    case 'token': {
      const found = {user: access.user, password: await access.read()};
      return {...none, configuration: [header(display, found)], credentials: found};
    }
    case 'helper': {
      const name = `credential.${originOf(display)}.helper`;
      // The empty one takes away those of the user's own configuration.
      const helpers = [
        ['credential.helper', ''],
        [name, access.helper],
      ] as const;
      return {...none, configuration: helpers};
    }
    case 'ssh_key':
      return {...none, sshCommand: sshCommand(access)};
    default:
      return access satisfies never;
  }
}

export function isHttp(display: string): boolean {
  return /^https?:/.test(display);
}

function isSsh(display: string): boolean {
  return /^ssh:/.test(display) || !/^[a-z][a-z0-9+.-]*:\/\//i.test(display);
}

function originOf(display: string): string {
  return `${new URL(display).origin}/`;
}

/** Bound to the origin, so that it is not sent on to another host. */
function header(display: string, credentials: Credentials): readonly [string, string] {
  return [`http.${originOf(display)}.extraHeader`, `Authorization: ${basicAuthorization(credentials)}`];
}

function sshCommand({keyFile, knownHostsFile}: Extract<RemoteAccess, {kind: 'ssh_key'}>): string {
  const options = ['BatchMode=yes', 'IdentitiesOnly=yes', `IdentityFile=${sshValue(keyFile)}`];
  if (knownHostsFile !== null)
    options.push(
      `UserKnownHostsFile=${sshValue(knownHostsFile)}`,
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=yes',
    );
  return ['ssh', ...options.flatMap((option) => ['-o', shellWord(option)])].join(' ');
}

/** ssh splits such a value at blanks and replaces `%` and what follows. */
function sshValue(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}

/** Git gives the command to a shell. */
function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function invalid(display: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', `credentials of ${display}: ${problem}.`);
}
