import type {Git} from '../../runtime/platform/git-process.ts';
import {type Claim, parseClaim} from '../../schemas/claim.ts';
import {isObjectId} from './ref-output.ts';
import type {ClaimPlace, FoundClaim} from './source.ts';
import {unreadable} from './unreadable.ts';

export const ownerRef = 'refs/branchtab/owner';

/** Nobody's claim is longer; what is, is not read. */
const maxCommitBytes = 64 * 1024;
/** For one read or write, over the network too. */
const longestMs = 60_000;

/** Where the ref itself is: in the repository, or at the remote that the objects are a mirror of. */
export interface RefStore {
  /** The object that the ref names, and it can be read by now; null without the ref. */
  fetch(options: {signal: AbortSignal}): Promise<string | null>;
  /** Moves the ref; null stands for its absence. False where it is no longer at `from`. */
  move(from: string | null, to: string | null, options: {signal: AbortSignal}): Promise<boolean>;
}

/** The claim as the message of a commit without files, which every git server takes. */
export function createOwnerRef({
  git,
  repository,
  refs,
  intervalMs,
}: {
  git: Git;
  repository: string;
  refs: RefStore;
  intervalMs: number;
}): ClaimPlace {
  async function output(action: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const {exitCode, stdout, stderr} = await git.run(args, {signal});
    if (exitCode !== 0) throw unreadable(repository, action, stderr);
    return new TextDecoder().decode(stdout).trim();
  }

  async function messageOf(id: string, signal: AbortSignal): Promise<string> {
    const action = 'reading whose it is';
    if ((await output(action, ['cat-file', '-t', id], signal)) !== 'commit') return '';
    if (Number(await output(action, ['cat-file', '-s', id], signal)) > maxCommitBytes) return '';
    const text = await output(action, ['cat-file', 'commit', id], signal);
    return text.slice(text.indexOf('\n\n') + 2);
  }

  async function write(claim: Claim, signal: AbortSignal): Promise<string> {
    const action = 'claiming it';
    const tree = await output(action, ['hash-object', '-w', '-t', 'tree', '/dev/null'], signal);
    const author = ['-c', 'user.name=Branchtab', '-c', 'user.email=branchtab@localhost'];
    const id = await output(action, [...author, 'commit-tree', tree, '-m', JSON.stringify(claim)], signal);
    if (isObjectId(id)) return id;
    throw unreadable(repository, action, `git answered ${JSON.stringify(id.slice(0, 200))}`);
  }

  return {
    where: `${ownerRef} of ${repository}`,
    intervalMs,
    async read(): Promise<FoundClaim | null> {
      const signal = AbortSignal.timeout(longestMs);
      const id = await refs.fetch({signal});
      return id === null ? null : {text: id, claim: parseClaim(await messageOf(id, signal))};
    },
    async replace(before, claim) {
      const signal = AbortSignal.timeout(longestMs);
      const to = claim === null ? null : await write(claim, signal);
      return refs.move(before?.text ?? null, to, {signal});
    },
  };
}

/** The ref of a repository on this machine. */
export function localRefStore({git, repository}: {git: Git; repository: string}): RefStore {
  const fetch = async ({signal}: {signal: AbortSignal}): Promise<string | null> => {
    const args = ['for-each-ref', '--format=%(objectname) %(refname)', ownerRef];
    const {exitCode, stdout, stderr} = await git.run(args, {signal});
    if (exitCode !== 0) throw unreadable(repository, 'reading whose it is', stderr);
    const line = new TextDecoder().decode(stdout).split('\n')[0] ?? '';
    const [id = '', name] = line.split(' ');
    return name === ownerRef && isObjectId(id) ? id : null;
  };
  return {
    fetch,
    async move(from, to, {signal}) {
      const nothing = '0'.repeat((from ?? to ?? '').length);
      const change = to === null ? ['-d', ownerRef] : [ownerRef, to];
      // Whatever a symbolic ref in its place names is left alone.
      const args = ['update-ref', '--no-deref', ...change, from ?? nothing];
      const {exitCode, stderr} = await git.run(args, {signal});
      if (exitCode === 0) return true;
      if ((await fetch({signal})) !== from) return false;
      throw unreadable(repository, 'claiming it', stderr);
    },
  };
}
