import {mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import type {ExecutionContext} from 'ava';
import {deploymentDigest, sha256Of} from '../../runtime/exec/deployment-store.ts';
import {type ExecOptions, type ExecService, openExec} from '../../runtime/exec/service.ts';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {type Clock, systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createSecretMask} from '../../runtime/platform/secret-mask.ts';
import type {Deployment} from '../../schemas/control.ts';
import {callScript} from './call-script.ts';

export interface ExecWorld {
  readonly exec: ExecService;
  readonly directory: string;
  readonly home: string;
  readonly variables: Record<string, string>;
  /** Calls a script in the way a client does. */
  call(target: string, init?: RequestInit): Promise<Response>;
}

/** An exec service with real script hosts, in a directory of its own. */
export async function execWorld(
  t: ExecutionContext,
  {
    clock = systemClock,
    idleMs = 60_000,
    secrets = [],
    ...options
  }: {clock?: Clock; secrets?: readonly string[]} & Pick<
    ExecOptions,
    'idleMs' | 'warm' | 'maxResidentBytes' | 'onRunCall'
  > = {},
): Promise<ExecWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'bt-exec-'));
  const home = join(directory, 'home');
  mkdirSync(home);
  const variables: Record<string, string> = {PATH: '/usr/bin:/bin', HOODY_BRANCH: 'main'};
  const mask = createSecretMask(secrets);
  const exec = await openExec({
    directory: join(directory, 'exec'),
    homeDirectory: home,
    socketDirectory: directory,
    hostCommand: ownCommand(resolve('runtime/start.ts')),
    environment: () => ({revision: variables.HOODY_COMMIT ?? null, variables: {...variables}, mask}),
    clock,
    log: silentLog,
    idleMs,
    ...options,
  });
  t.teardown(async () => {
    await exec.stop({graceMs: 0});
    rmSync(directory, {recursive: true, force: true});
  });
  return {
    exec,
    directory,
    home,
    variables,
    call: (target, init) =>
      callScript(exec.calls, new Request(`http://localhost${target}`, init), {
        path: target.split('?', 1)[0] ?? '/',
        target,
        clientIp: '127.0.0.1',
        findRun: () => null,
      }),
  };
}

/** A deployment of texts by path. */
export function deploymentOf(
  texts: Readonly<Record<string, string>>,
  {commit = null, mounts = []}: Partial<Pick<Deployment, 'commit' | 'mounts'>> = {},
): Deployment {
  const files = Object.entries(texts).map(([path, text]) => ({path, sha256: sha256Of(text)}));
  const contents = Object.fromEntries(
    Object.values(texts).map((text) => [sha256Of(text), Buffer.from(text).toString('base64')]),
  );
  return {digest: deploymentDigest(files, mounts), commit, files, mounts, contents};
}

/** A deployment of files of `fixtures/scripts`. */
export function fixtureDeployment(...paths: string[]): Deployment {
  return deploymentOf(
    Object.fromEntries(paths.map((path) => [path, readFileSync(`fixtures/scripts/${path}`, 'utf8')])),
  );
}
