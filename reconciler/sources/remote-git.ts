import {fetchingEnvironment, type InheritedEnvironment, remoteName} from './git-environment.ts';
import {removeLeftovers} from './mirror.ts';
import {ownerRef} from './owner-ref.ts';
import {admissionTo, isHttp, type RemoteAccess} from './remote-access.ts';
import {maskCredentials, type RemoteAddress} from './repository-address.ts';
import {unreadable} from './unreadable.ts';

/**
 * The commands that speak to the remote. Each is one git process, started inside the mirror's directory. One at a time:
 * one that fails puts the mirror in order.
 */
export interface RemoteGit {
  /** Branch name to commit id, as the remote has them now. */
  listBranches(options: {signal: AbortSignal}): Promise<Map<string, string>>;
  /** The branch that the remote's HEAD names; null when it names none that exists. */
  defaultBranch(options: {signal: AbortSignal}): Promise<string | null>;
  /**
   * Makes the mirror's branches those of the remote, removing what is gone there. Contents of files stay there, where
   * the remote can leave them out.
   */
  fetch(options: {signal: AbortSignal}): Promise<void>;
  /** Brings the head of a pull request into the mirror, where the remote names it as GitHub does. */
  fetchPull(number: number, options: {signal: AbortSignal}): Promise<void>;
  /** Brings the contents of files into the mirror. */
  fetchBlobs(ids: readonly string[], options: {signal: AbortSignal}): Promise<void>;
  /** The commit that `refs/branchtab/owner` names there; null without it. */
  ownerCommit(options: {signal: AbortSignal}): Promise<string | null>;
  /** Brings that commit into the mirror, under no name. */
  fetchOwner(options: {signal: AbortSignal}): Promise<void>;
  /** Moves the ref from one commit to another, null being its absence. False where it is elsewhere by now. */
  moveOwner(from: string | null, to: string | null, options: {signal: AbortSignal}): Promise<boolean>;
  started(): number;
}

export interface RemoteGitOptions {
  readonly address: RemoteAddress;
  readonly access: RemoteAccess;
  readonly mirrorDirectory: string;
  readonly environment: InheritedEnvironment;
}

interface RunOptions {
  readonly signal: AbortSignal;
  /** Gets what git writes to stderr, with a line for each packet it exchanges with the remote. */
  readonly trace?: (chunk: Uint8Array) => void;
}

/** Without a word from git for this long the remote counts as gone. */
const silenceMs = 120_000;
const headsPrefix = 'refs/heads/';
/** Names that fit on a command line without doubt. */
const mostBlobsAtOnce = 2000;
const fetchOptions = ['--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];

export function createRemoteGit({
  address,
  access,
  mirrorDirectory,
  environment,
}: RemoteGitOptions): RemoteGit {
  const {display} = address;
  const listArguments = ['ls-remote', '--heads', '--end-of-options', display];
  let started = 0;

  async function run(action: string, args: readonly string[], {signal, trace}: RunOptions): Promise<string> {
    const {simpleGit} = await import('simple-git');
    const admission = await admissionTo(address, access);
    const variables = {
      ...fetchingEnvironment(environment, {mirrorDirectory, address: display, admission}),
      ...(trace === undefined ? {} : {GIT_TRACE_PACKET: '1'}),
    };
    const git = simpleGit({
      baseDir: mirrorDirectory,
      abort: signal,
      timeout: {block: silenceMs},
      trimmed: false,
      allowEnvironment: Object.keys(variables).filter((name) => name.startsWith('GIT_')),
      // What goes this way is our own; every other guard stays on.
      unsafe: {
        allowUnsafeConfigEnvCount: true,
        allowUnsafeCredentialHelper: access.kind === 'helper',
        allowUnsafeSshCommand: access.kind === 'ssh_key',
      },
    }).env(variables);
    if (trace !== undefined) git.outputHandler((_command, _stdout, stderr) => stderr.on('data', trace));
    started += 1;
    try {
      return await git.raw([...args]);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // No `cause`: the error of the library carries the command's whole output.
      throw unreadable(
        display,
        action,
        maskCredentials(error instanceof Error ? error.message : String(error), admission.credentials),
      );
    }
  }

  /** What a fetch that ends in the middle has brought is of no use to the next one, and would stay for ever. */
  async function runFetch(action: string, args: readonly string[], options: RunOptions): Promise<void> {
    try {
      await run(action, args, options);
    } catch (error) {
      await removeLeftovers(mirrorDirectory);
      throw error;
    }
  }

  /**
   * A web server that answers any page with 200 counts for git as an old kind of repository without branches.
   * Packets are exchanged only with one that speaks git.
   */
  async function checkSpeaksGit(signal: AbortSignal): Promise<void> {
    let traced = '';
    const trace = (chunk: Uint8Array) => {
      traced += Buffer.from(chunk).toString('latin1');
    };
    await run('listing its branches', listArguments, {signal, trace});
    if (!traced.includes('packet:')) {
      throw unreadable(display, 'listing its branches', 'the server did not answer as a git server');
    }
  }

  async function ownerCommit({signal}: {signal: AbortSignal}): Promise<string | null> {
    const args = ['ls-remote', '--end-of-options', display, ownerRef];
    const output = await run('reading whose it is', args, {signal});
    return new RegExp(`^([0-9a-f]{40}|[0-9a-f]{64})\t${ownerRef}$`, 'm').exec(output)?.[1] ?? null;
  }

  return {
    started: () => started,
    ownerCommit,
    async fetchOwner({signal}) {
      const args = ['fetch', ...fetchOptions, '--end-of-options', display, ownerRef];
      await runFetch('reading whose it is', args, {signal});
    },
    async moveOwner(from, to, {signal}) {
      const options = ['--quiet', '--no-verify', `--force-with-lease=${ownerRef}:${from ?? ''}`];
      const args = ['push', ...options, '--end-of-options', display, `${to ?? ''}:${ownerRef}`];
      try {
        await run('claiming it', args, {signal});
        return true;
      } catch (error) {
        if ((await ownerCommit({signal})) !== from) return false;
        throw error;
      }
    },
    async listBranches({signal}) {
      const output = await run('listing its branches', listArguments, {signal});
      const branches = parseRemoteBranches(output, display);
      if (branches.size === 0 && isHttp(display)) await checkSpeaksGit(signal);
      return branches;
    },
    async defaultBranch({signal}) {
      const args = ['ls-remote', '--symref', '--end-of-options', display, 'HEAD'];
      const output = await run('reading its default branch', args, {signal});
      return /^ref: refs\/heads\/([^\t\n]+)\tHEAD$/m.exec(output)?.[1] ?? null;
    },
    async fetch({signal}) {
      const refspec = `+${headsPrefix}*:${headsPrefix}*`;
      const args = ['fetch', '--prune', ...fetchOptions, '--progress', '--end-of-options', remoteName];
      await runFetch('fetching', [...args, refspec], {signal});
    },
    async fetchPull(number, {signal}) {
      const ref = `refs/pull/${number}/head`;
      const args = ['fetch', ...fetchOptions, '--progress', '--end-of-options', remoteName, `+${ref}:${ref}`];
      await runFetch('fetching a pull request', args, {signal});
    },
    async fetchBlobs(ids, {signal}) {
      // With what we have the remote would leave out what belongs to it, and that is what we lack.
      const args = ['-c', 'fetch.negotiationAlgorithm=noop', 'fetch', ...fetchOptions, '--progress'];
      for (let next = 0; next < ids.length; next += mostBlobsAtOnce) {
        const some = ids.slice(next, next + mostBlobsAtOnce);
        await runFetch('fetching missing files', [...args, '--end-of-options', remoteName, ...some], {
          signal,
        });
      }
    },
  };
}

function parseRemoteBranches(output: string, repository: string): Map<string, string> {
  const branches = new Map<string, string>();
  for (const line of output.split('\n')) {
    if (line === '') continue;
    const match = /^([0-9a-f]{40}|[0-9a-f]{64})\trefs\/heads\/(.+)$/.exec(line);
    if (match === null) {
      throw unreadable(
        repository,
        'listing its branches',
        `unexpected answer ${JSON.stringify(line.slice(0, 200))}`,
      );
    }
    const [, id = '', branch = ''] = match;
    // A name that is not UTF-8 cannot be served; the listing of the mirror says so in the log.
    if (!branch.includes('\ufffd')) branches.set(branch, id);
  }
  if (output !== '' && !output.endsWith('\n')) {
    throw unreadable(repository, 'listing its branches', 'the answer is cut short');
  }
  return branches;
}
