import {dirname} from 'node:path';
import * as z from 'zod';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {mkdir} from '../runtime/platform/files.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {PullRequest} from './forge.ts';

export interface ForkPolicy {
  /** `labelled`: those that somebody who may label a pull request has labelled at their very commit. */
  readonly serve: 'labelled' | 'all';
  readonly label: string;
  /** So many at once; anybody can open a pull request. */
  readonly most: number;
}

/** A label as a signed webhook tells of it. */
export interface ForkLabelled {
  readonly number: number;
  /** Head of the pull request when it was labelled. */
  readonly commit: string;
  readonly label: string;
}

/** Which commits of forks' pull requests are served. Outlives the controller, or a restart would look like their end. */
export interface Forks {
  /** By number of the pull request. */
  admitted(): ReadonlyMap<number, string>;
  /** Notes it; only what `read` finds at the forge afterwards admits. */
  labelled(news: ForkLabelled): Promise<void>;
  /** The labels that are noted now, for `read` when the forge has been asked. */
  noted(): ReadonlyMap<number, string>;
  /**
   * Pull requests as the forge shows them now; of others nothing is said. What was noted only while it was asked is
   * left for the next time. True where others are admitted than before.
   */
  read(pulls: readonly PullRequest[], noted?: ReadonlyMap<number, string>): Promise<boolean>;
}

const commitSchema = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const byNumber = z.record(z.string().regex(/^\d+$/), commitSchema);
const stateSchema = z.object({admitted: byNumber, labelled: byNumber});

/** A file that cannot be read is logged, and nothing is admitted: that ends previews and runs nothing. */
export async function openForks({
  path,
  policy,
  log,
}: {
  path: string;
  policy: ForkPolicy;
  log: Log;
}): Promise<Forks> {
  const admitted = new Map<number, string>();
  /** Commits at which pull requests were labelled, as long as the forge has not been asked. */
  const labelled = new Map<number, string>();
  await mkdir(dirname(path), {recursive: true, mode: 0o700});
  const text = await readTextIfPresent(path);
  if (text !== null) {
    try {
      const state = stateSchema.parse(JSON.parse(text));
      for (const [number, commit] of Object.entries(state.admitted)) admitted.set(Number(number), commit);
      for (const [number, commit] of Object.entries(state.labelled)) labelled.set(Number(number), commit);
    } catch (error) {
      log.error('what is known of forks cannot be read; none is served until it is labelled anew', {
        path,
        error,
      });
    }
  }
  const save = () =>
    writeFileDurably(
      path,
      JSON.stringify({admitted: Object.fromEntries(admitted), labelled: Object.fromEntries(labelled)}),
    );

  /** The commit that the policy admits of an open pull request; null where it admits none. */
  const commitOf = ({number, commit, labels}: PullRequest): string | null => {
    if (policy.serve === 'all') return commit;
    if (!labels.includes(policy.label)) return null;
    // A commit that came after the label was seen by nobody: it takes the label once more.
    return labelled.get(number) === commit ? commit : (admitted.get(number) ?? null);
  };

  return {
    admitted: () => admitted,
    async labelled({number, commit, label}) {
      if (policy.serve !== 'labelled' || label !== policy.label) return;
      labelled.set(number, commit);
      await save();
    },
    noted: () => new Map(labelled),
    async read(pulls, noted = labelled) {
      const before = JSON.stringify([[...admitted], [...labelled]]);
      const admittedBefore = JSON.stringify([...admitted]);
      for (const pull of pulls) {
        const {number} = pull;
        if (!pull.isFork) continue;
        const commit = pull.state === 'open' ? commitOf(pull) : null;
        if (commit === null) admitted.delete(number);
        else if (admitted.has(number) || admitted.size < policy.most) admitted.set(number, commit);
        else log.warn('a pull request of a fork is not served: there are too many', {number});
        const isGone = pull.state === 'closed' || !pull.labels.includes(policy.label);
        if (isGone && noted.get(number) === labelled.get(number)) labelled.delete(number);
      }
      if (JSON.stringify([[...admitted], [...labelled]]) !== before) await save();
      return JSON.stringify([...admitted]) !== admittedBefore;
    },
  };
}
