import {inDirectory} from '../schemas/branch-name.ts';
import {type ContainerSettings, type EnvironmentChange, plainSettings} from '../schemas/control.ts';
import {parseCrontab} from '../schemas/crontab.ts';
import type {Issue} from '../schemas/issue.ts';
import type {ScriptMount} from '../schemas/script-settings.ts';
import type {ResourceLimits} from './containers/provider.ts';
import type {CrontabFile, MissingCause, ObservedRef, ScriptFile} from './observation.ts';

export type Desired =
  | {
      readonly kind: 'served';
      readonly revision: string;
      readonly rootTree: string;
      readonly variables: Readonly<Record<string, string>>;
      readonly secrets: Readonly<Record<string, string>>;
      readonly settings: ContainerSettings;
      readonly resources: ResourceLimits;
      readonly crontabs: readonly CrontabFile[];
      readonly scripts: readonly ScriptFile[];
      readonly mounts: readonly ScriptMount[];
    }
  | {readonly kind: 'invalid'; readonly revision: string; readonly issues: readonly Issue[]}
  | {
      readonly kind: 'absent';
      readonly reason: MissingCause | 'branch_idle' | 'hoody_removed';
      readonly proven: boolean;
    };

/** What the operator gives to the branch's container. */
export interface GivenEnvironment extends Omit<EnvironmentChange, 'revision'> {
  /** What the provider bounds. */
  readonly resources: ResourceLimits;
}

export const noEnvironment: GivenEnvironment = {
  variables: {},
  secrets: {},
  settings: plainSettings,
  resources: {cpus: null, memoryBytes: null},
};

/** What the branch's container should be, from its files and the operator's settings. A single issue makes the whole commit invalid. */
export function desiredState(
  ref: ObservedRef,
  identity: {repository: string; path: string; branch: string},
  given: GivenEnvironment,
): Desired {
  if (ref.kind === 'missing') return {kind: 'absent', reason: ref.cause, proven: ref.proven};
  if (ref.kind === 'without_hoody') return {kind: 'absent', reason: 'hoody_removed', proven: true};
  const {files} = ref;
  const issues = [...files.issues, ...crontabIssues(files.crontabs)];
  if (issues.length > 0)
    return {
      kind: 'invalid',
      revision: files.commit,
      issues: issues.map((issue) => ({
        // As people find it.
        ...issue,
        file: inDirectory(identity.path, issue.file),
      })),
    };
  return {
    kind: 'served',
    revision: files.commit,
    rootTree: files.rootTree,
    ...given,
    variables: {
      ...given.variables,
      HOODY_BRANCH: identity.branch,
      HOODY_COMMIT: files.commit,
      HOODY_REPOSITORY: identity.repository,
    },
    crontabs: files.crontabs,
    scripts: files.scripts,
    mounts: files.mounts,
  };
}

/** What is wrong with the lines of a branch's crontabs. */
export function crontabIssues(crontabs: readonly CrontabFile[]): Issue[] {
  return crontabs.flatMap(({file, text}) => parseCrontab(text, {file, managedAllowed: false}).issues);
}
