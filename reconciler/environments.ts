import {shortestSecretLength} from '../runtime/platform/secret-mask.ts';
import type {EnvironmentList} from '../schemas/environment.ts';
import {AppError} from '../schemas/errors.ts';
import type {SecretSource} from '../schemas/secret-source.ts';
import type {Suspension} from '../schemas/suspension.ts';
import type {DataPolicy} from './branch-data.ts';
import {type BranchLimits, noLimits, previewLimits} from './branch-limits.ts';
import type {BranchPolicy} from './branch-settings.ts';
import type {IdleLimits} from './idle.ts';
import type {PreviewRun} from './preview-holds.ts';

/** One item of `environments` in the operator's configuration. */
export interface EnvironmentRule {
  /** Where it stands in the configuration, for people. */
  readonly place: string;
  readonly appliesTo: (branch: string, live: boolean) => boolean;
  /** It is for the live branch and no other. */
  readonly onlyLive: boolean;
  /** These branches stay when they are merged. */
  readonly keep: boolean;
  /** What previews among these branches run; null leaves it to other rules. */
  readonly run: PreviewRun | null;
  /** What is left out is left to other rules. */
  readonly limits: Partial<BranchLimits>;
  /** What new previews among these branches begin with; null leaves it to other rules. */
  readonly data: DataPolicy | null;
  /** No job of these branches runs until then; null leaves it to other rules. */
  readonly suspend: {readonly until: string; readonly owner: string; readonly reason: string} | null;
  /** What becomes of changes by hand; null leaves it to other rules. */
  readonly drift: 'revert' | 'report' | null;
  /** Names of snapshots; null leaves it to other rules. */
  readonly from: string | null;
  readonly snapshot: string | null;
  /** 0 for never; null leaves it to other rules. */
  readonly idle: IdleLimits;
  readonly variables: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, SecretSource>>;
}

/** Who gives a branch a value. */
export type Binding =
  | {readonly name: string; readonly kind: 'variable'; readonly place: string; readonly value: string}
  | {readonly name: string; readonly kind: 'secret'; readonly place: string; readonly source: SecretSource};

/** Every name that the rules bind for a branch, sorted; of several rules the last one has the say. */
export function bindingsOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): Binding[] {
  const bindings = new Map<string, Binding>();
  for (const {appliesTo, place, variables, secrets} of rules) {
    if (!appliesTo(branch, live)) continue;
    for (const [name, value] of Object.entries(variables))
      bindings.set(name, {name, kind: 'variable', place, value});
    for (const [name, source] of Object.entries(secrets))
      bindings.set(name, {name, kind: 'secret', place, source});
  }
  return [...bindings.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What a branch runs of its crontab: everything where it is live, else what the last rule with a say wants. */
export function previewRunOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
  otherwise: PreviewRun,
): PreviewRun {
  if (live) return 'all';
  return rules.findLast(({run, appliesTo}) => run !== null && appliesTo(branch, live))?.run ?? otherwise;
}

/** What the last rule with a say suspends the branch by, over or not. */
export function suspensionOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): Suspension | null {
  const rule = rules.findLast(({suspend, appliesTo}) => suspend !== null && appliesTo(branch, live));
  return rule?.suspend == null ? null : {...rule.suspend, since: null, place: `${rule.place}.suspend`};
}

/** What becomes of changes by hand, by the last rule with a say. */
export function driftOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
  otherwise: 'revert' | 'report',
): 'revert' | 'report' {
  return (
    rules.findLast(({drift, appliesTo}) => drift !== null && appliesTo(branch, live))?.drift ?? otherwise
  );
}

/** What the data directory of a new container of the branch begins with; live's begins empty. */
export function dataPolicyOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): DataPolicy {
  if (live) return 'empty';
  return rules.findLast(({data, appliesTo}) => data !== null && appliesTo(branch, live))?.data ?? 'empty';
}

/** Which snapshot a new container of the branch starts with, and which its container is kept in; null for none. */
export function snapshotsOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): {readonly from: string | null; readonly save: string | null} {
  const applying = rules.filter(({appliesTo}) => appliesTo(branch, live));
  return {
    from: applying.findLast(({from}) => from !== null)?.from ?? null,
    save: applying.findLast(({snapshot}) => snapshot !== null)?.snapshot ?? null,
  };
}

/**
 * Previews are bounded by default. Live is bounded by rules that are for live alone; what others say, and what
 * previews have by default, is only told of live.
 */
export function limitsOf(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): {readonly limits: BranchLimits; readonly enforced: boolean} {
  const saidBy = (some: readonly EnvironmentRule[]): Partial<BranchLimits> =>
    Object.assign({}, ...some.map(({limits}) => limits));
  const applying = rules.filter(({appliesTo}) => appliesTo(branch, live));
  const forLive = saidBy(applying.filter(({onlyLive}) => onlyLive));
  return live && Object.keys(forLive).length > 0
    ? {limits: {...noLimits, ...forLive}, enforced: true}
    : {limits: {...previewLimits, ...saidBy(applying)}, enforced: !live};
}

/** All that a branch may tighten by its own settings. */
export function branchPolicyOf(
  rules: readonly EnvironmentRule[],
  branch: {branch: string; live: boolean},
  previewRun: PreviewRun,
): BranchPolicy {
  return {
    limits: limitsOf(rules, branch),
    run: previewRunOf(rules, branch, previewRun),
    idle: idleLimitsOf(rules, branch),
  };
}

/** True where a branch is long-lived: it neither ends by itself nor needs a lease. */
export function isKept(
  rules: readonly EnvironmentRule[],
  {branch, live}: {branch: string; live: boolean},
): boolean {
  return live || rules.some(({keep, appliesTo}) => keep && appliesTo(branch, live));
}

/** How long a branch may go without a push; of several rules the last one with a say counts. */
export function idleLimitsOf(
  rules: readonly EnvironmentRule[],
  branch: {branch: string; live: boolean},
): IdleLimits {
  if (isKept(rules, branch)) return {pauseAfterMs: null, removeAfterMs: null};
  const lastOf = (limit: keyof IdleLimits) =>
    rules.findLast((rule) => rule.idle[limit] !== null && rule.appliesTo(branch.branch, branch.live))?.idle[
      limit
    ] || null;
  return {pauseAfterMs: lastOf('pauseAfterMs'), removeAfterMs: lastOf('removeAfterMs')};
}

/** The values themselves. Throws SECRET_UNAVAILABLE with the name and the source, never with a value. */
export async function resolveBindings(
  bindings: readonly Binding[],
  readSecret: (source: SecretSource) => Promise<string>,
): Promise<{variables: Record<string, string>; secrets: Record<string, string>}> {
  const variables: Record<string, string> = {};
  const secrets: Record<string, string> = {};
  for (const binding of bindings) {
    if (binding.kind === 'variable') variables[binding.name] = binding.value;
    else secrets[binding.name] = await readNamed(binding.name, binding.source, readSecret);
  }
  return {variables, secrets};
}

/** Throws SECRET_UNAVAILABLE with the name and the source, never with a value. */
export async function readNamed(
  name: string,
  source: SecretSource,
  readSecret: (source: SecretSource) => Promise<string>,
): Promise<string> {
  try {
    const value = await readSecret(source);
    if (value.length >= shortestSecretLength) return value;
    throw new Error(
      `it has fewer than ${shortestSecretLength} characters and could not be masked in output; make it a variable.`,
    );
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError(
      'SECRET_UNAVAILABLE',
      `The secret ${name} cannot be read: ${reason} What runs goes on with the former values.`,
      {cause},
    );
  }
}

/** Without the value of a variable and without the secret itself. */
export function describeBinding(binding: Binding): EnvironmentList['items'][number] {
  const {name, kind, place} = binding;
  return {name, kind, place, source: binding.kind === 'secret' ? describeSource(binding.source) : null};
}

function describeSource(source: SecretSource): string {
  if ('from_env' in source) return `variable ${source.from_env}`;
  return 'from_file' in source ? `file ${source.from_file}` : `command ${source.from_command}`;
}
