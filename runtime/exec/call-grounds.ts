import type {SecretMask} from '../platform/secret-mask.ts';
import {type CurrentDeployment, type DeploymentStore, sha256Of} from './deployment-store.ts';
import type {HostPool} from './host-pool.ts';
import type {HostProcess} from './host-process.ts';
import {keptVersion} from './kept-version.ts';
import {pinnedPath} from './pinned-path.ts';
import type {CallGround, Destination} from './prepared-call.ts';
import type {ScriptCompiler} from './script-compiler.ts';
import {createScriptSet, type ScriptSet} from './script-set.ts';

type Variables = Readonly<Record<string, string>>;

export interface ScriptVariables {
  /** The commit that was applied. */
  readonly revision: string | null;
  readonly variables: Variables;
  /** Takes the secrets among the variables out of what is kept of calls. */
  readonly mask: SecretMask;
}

/** Where calls find their scripts. */
export interface CallGrounds {
  /** Null before the first deployment. */
  present(): CallGround | null;
  /** The present scripts or, below `/@<commit>/`, a kept former set. Throws VERSION_NOT_FOUND. */
  destinationOf(call: {path: string; target: string}): Destination | Promise<Destination>;
  /** Digests of the sets that hosts still use. */
  digestsInUse(): Set<string>;
}

export interface CallGroundsOptions {
  readonly store: DeploymentStore;
  readonly compiler: ScriptCompiler;
  readonly environment: () => ScriptVariables;
  readonly pool: HostPool;
  /** Calls of former versions must not drain the hosts of the present one. */
  readonly pinnedPool: HostPool;
  readonly startHost: (deployment: CurrentDeployment, variables: Variables) => HostProcess;
}

/** Former sets whose routes and comments are remembered. */
const mostPinnedSets = 4;

export function createCallGrounds(options: CallGroundsOptions): CallGrounds {
  const {store, compiler, environment, pool, pinnedPool, startHost} = options;
  const presentFingerprints = createFingerprints();
  const pinnedFingerprints = createFingerprints();
  const pinnedSets = new Map<string, ScriptSet>();
  let presentSet: ScriptSet | null = null;
  /** Asked for several times at every call: made anew when the scripts or the variables are others. */
  let presentGround: CallGround | null = null;
  let presentBound: ScriptVariables | null = null;

  function present(): CallGround | null {
    const deployment = store.current();
    if (deployment === null) return null;
    if (presentSet?.deployment !== deployment) presentSet = createScriptSet(deployment, compiler);
    const bound = environment();
    if (presentGround?.set === presentSet && presentBound === bound) return presentGround;
    const {revision, variables, mask} = bound;
    presentBound = bound;
    presentGround = {
      set: presentSet,
      pool,
      commit: revision,
      mask,
      generation: `${deployment.digest} ${presentFingerprints.of(variables)}`,
      start: () => startHost(deployment, variables),
    };
    return presentGround;
  }

  function pinned(set: ScriptSet): CallGround {
    const {deployment} = set;
    const {variables: given, mask} = environment();
    const variables = {...given, HOODY_COMMIT: deployment.commit ?? ''};
    return {
      set,
      pool: pinnedPool,
      commit: deployment.commit,
      mask,
      generation: `${deployment.digest} ${pinnedFingerprints.of(variables)}`,
      start: () => startHost(deployment, variables),
    };
  }

  function pinnedSetOf(deployment: CurrentDeployment): ScriptSet {
    const key = `${deployment.digest} ${deployment.commit}`;
    const set = pinnedSets.get(key) ?? createScriptSet(deployment, compiler);
    pinnedSets.delete(key);
    pinnedSets.set(key, set);
    const [oldest] = pinnedSets.keys();
    if (pinnedSets.size > mostPinnedSets && oldest !== undefined) pinnedSets.delete(oldest);
    return set;
  }

  async function pinnedDestination(
    path: string,
    target: string,
    pin: {readonly commit: string; readonly path: string},
  ): Promise<Destination> {
    const set = pinnedSetOf(await keptVersion(store, {commit: pin.commit}));
    const rest = target.slice(path.length - pin.path.length);
    return {
      ground: () => pinned(set),
      path: pin.path,
      target: pin.path === '/' && !rest.startsWith('/') ? `/${rest}` : rest,
    };
  }

  return {
    present,
    destinationOf({path, target}) {
      const pin = pinnedPath(path);
      return pin === null ? {ground: present, path, target} : pinnedDestination(path, target, pin);
    },
    digestsInUse: () => new Set([...pool.generations, ...pinnedPool.generations].map(digestOf)),
  };
}

/** A generation is named by the deployment's digest and a hash of the variables. */
function digestOf(generation: string): string {
  return generation.split(' ')[0] ?? generation;
}

/** The same variables are asked about at every call. */
function createFingerprints(): {of: (variables: Variables) => string} {
  let last: Variables | null = null;
  let text = '';
  let hash = '';
  return {
    of(variables) {
      if (variables === last) return hash;
      last = variables;
      const json = JSON.stringify(variables);
      if (json !== text || hash === '') {
        text = json;
        hash = sha256Of(json);
      }
      return hash;
    },
  };
}
