import {
  bindingsOf,
  driftOf,
  idleLimitsOf,
  isKept,
  limitsOf,
  previewRunOf,
  suspensionOf,
} from '../reconciler/environments.ts';
import type {WatchedRepository} from '../reconciler/repository-watch.ts';
import type {Branch} from '../schemas/branch.ts';
import type {Config} from '../schemas/config.ts';
import {printDuration} from '../schemas/duration.ts';

/** A configuration with what was made of it. */
export interface Configured {
  readonly config: Config;
  readonly repositories: readonly WatchedRepository[];
}

/** So many branches are named in one line; the others are counted. */
const mostNamed = 5;

/** What a new configuration means, a line each: its keys, its repositories, and the branches that it changes. */
export function configChange(
  before: Configured,
  after: Configured,
  branches: readonly Pick<Branch, 'repository' | 'branch' | 'live'>[],
): string[] {
  return [
    ...keyChanges(before.config, after.config),
    ...repositoryChanges(before, after),
    ...branchChanges(before, after, branches),
  ];
}

/** What these say is told of the branches and repositories that they change. */
const toldElsewhere: ReadonlySet<string> = new Set(['environments', 'repositories', 'branches']);

function keyChanges(before: Config, after: Config): string[] {
  const [from, to] = [before, after].map((config) => new Map(leaves(config, '')));
  const keys = [...new Set([...(from?.keys() ?? []), ...(to?.keys() ?? [])])].sort();
  return keys.flatMap((key) => {
    const [former, next] = [from?.get(key) ?? 'none', to?.get(key) ?? 'none'];
    return former === next ? [] : [`${key}: ${former} → ${next}`];
  });
}

function leaves(value: object, prefix: string): [string, string][] {
  return Object.entries(value).flatMap(([name, child]: [string, unknown]): [string, string][] => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (toldElsewhere.has(key) || child === undefined) return [];
    if (typeof child === 'object' && child !== null && !Array.isArray(child)) return leaves(child, key);
    return [[key, typeof child === 'number' ? numberWords(key, child) : JSON.stringify(child)]];
  });
}

function numberWords(key: string, value: number): string {
  return /(?:interval|window|grace|lease)$/.test(key) ? printDuration(value) : String(value);
}

function repositoryChanges(before: Configured, after: Configured): string[] {
  const namesOf = ({repositories}: Configured) => new Set(repositories.map(({source}) => source.repository));
  const [from, to] = [namesOf(before), namesOf(after)];
  const [ownBefore, ownAfter] = [before, after].map(
    ({config, repositories}) =>
      new Map(repositories.map((repository) => [repository.source.repository, ownWords(config, repository)])),
  );
  return [
    ...[...(ownAfter ?? [])].flatMap(([name, words]) => {
      const former = ownBefore?.get(name) ?? words;
      return former === words ? [] : [`${name}: ${words}.`];
    }),
    ...[...to.difference(from)].map((name) => `${name} is watched from now on.`),
    ...[...from.difference(to)].map(
      (name) => `${name} is not watched any more; its containers are left as they are.`,
    ),
  ];
}

/** What a repository has otherwise than the top of the configuration; that is told by its keys. */
function ownWords(config: Config, {source, policy}: WatchedRepository): string {
  const interval = source.kind === 'local' ? config.poll_interval : config.fetch_interval;
  const own = [
    policy.undoWindowMs === config.undo_window ? '' : `undo window ${printDuration(policy.undoWindowMs)}`,
    policy.intervalMs === interval ? '' : `looked at every ${printDuration(policy.intervalMs)}`,
    policy.driftIntervalMs === config.drift_interval
      ? ''
      : `its containers every ${printDuration(policy.driftIntervalMs)}`,
  ].filter((words) => words !== '');
  return own.length === 0 ? 'as the others' : own.join(', ');
}

function branchChanges(
  before: Configured,
  after: Configured,
  branches: readonly Pick<Branch, 'repository' | 'branch' | 'live'>[],
): string[] {
  const named = new Map<string, Set<string>>();
  for (const branch of branches) {
    const [from, to] = [before, after].map(({config, repositories}) => {
      const repository = repositories.find(({source}) => source.repository === branch.repository);
      return repository === undefined ? null : meaning(config, repository, branch);
    });
    if (from == null || to == null) continue;
    for (const [topic, words] of Object.entries(to)) {
      if (words === from[topic]) continue;
      const names = named.get(words) ?? new Set();
      named.set(words, names.add(branch.branch));
    }
  }
  return [...named].map(([words, names]) => {
    const shown = [...names].slice(0, mostNamed).join(', ');
    const more = names.size > mostNamed ? ` and ${names.size - mostNamed} more` : '';
    return `${shown}${more}: ${words}`;
  });
}

/** What the configuration says of a branch, in words by topic; values of secrets are not part of it. */
function meaning(
  config: Config,
  {includes, environments, policy}: WatchedRepository,
  branch: Pick<Branch, 'branch' | 'live'>,
): Record<string, string> {
  const served = branch.live || includes(branch.branch);
  const suspension = suspensionOf(environments, branch);
  const {limits, enforced} = limitsOf(environments, branch);
  const {pauseAfterMs, removeAfterMs} = idleLimitsOf(environments, branch);
  const bindings = bindingsOf(environments, branch).map((binding) =>
    binding.kind === 'variable'
      ? `${binding.name}=${binding.value}`
      : `${binding.name} (${JSON.stringify(binding.source)})`,
  );
  return {
    served: served ? 'served' : 'not served any more: its container goes to the trash',
    suspended:
      suspension === null
        ? 'not suspended by the configuration'
        : `suspended until ${suspension.until} by ${suspension.owner} (${suspension.reason})`,
    run: `runs ${previewRunOf(environments, branch, config.previews.run)} of its crontab`,
    drift: `changes by hand: ${driftOf(environments, branch, policy.drift)}`,
    keep: isKept(environments, branch) ? 'kept when it is merged' : 'goes when it is merged',
    idle: `idle: paused after ${idleWords(pauseAfterMs)}, removed after ${idleWords(removeAfterMs)}`,
    limits: `limits ${enforced ? 'enforced' : 'only told'}: ${JSON.stringify(limits)}`,
    bindings: `variables and secrets: ${bindings.join(', ') || 'none'}`,
  };
}

function idleWords(ms: number | null): string {
  return ms === null ? 'never' : printDuration(ms);
}
