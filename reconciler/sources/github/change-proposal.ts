import type {Octokit} from '@octokit/rest';
import * as z from 'zod';
import {AppError} from '../../../schemas/errors.ts';
import type {ChangeProposal, OpenProposal} from '../../forge.ts';
import {answerOf} from './budget.ts';

/** One request about the repository; failures are AppErrors with GitHub's answer as their cause. */
export type RepositoryCall = <T>(
  schema: z.ZodType<T>,
  request: (
    octokit: Octokit,
    at: {readonly owner: string; readonly repo: string},
  ) => Promise<{data: unknown}>,
) => Promise<T>;

const notFound = 404;
const objectSchema = z.looseObject({sha: z.string().regex(/^[0-9a-f]{40,64}$/)});
const refSchema = z.looseObject({object: objectSchema});
const commitSchema = z.looseObject({
  sha: objectSchema.shape.sha,
  message: z.string(),
  tree: objectSchema,
  parents: z.array(objectSchema),
});
const openPullSchema = z.looseObject({
  number: z.int(),
  html_url: z.url(),
  head: z.looseObject({ref: z.string()}),
});

/**
 * Each step finds what a former call made, so that a call that was cut off, or is made again, makes nothing twice. A
 * commit is signed by GitHub where an App makes it, and carries the name of whoever's token it is otherwise.
 */
export async function proposeChange(
  call: RepositoryCall,
  {branch, base, parent, files, title, body, marker}: ChangeProposal,
): Promise<OpenProposal> {
  const tree = await writeTree(call, {parent: await readCommit(parent), base, files});
  const before = await tipOf(branch);
  const current = before === null ? null : await call(commitSchema, commitRequest(before));
  if (current !== null && !current.message.split('\n').includes(marker)) {
    throw new AppError(
      'FORGE_REFUSED',
      `The branch ${branch} has commits of somebody else (${current.sha.slice(0, 8)}), which are left alone. Merge or delete it, then try again.`,
    );
  }
  const isSame = current?.tree.sha === tree && current.parents.map(({sha}) => sha).join() === parent;
  const commit = isSame && before !== null ? before : await moveTo(before);
  const open = await openPull();
  if (open !== undefined) return {...open, branch, commit, outcome: isSame ? 'unchanged' : 'updated'};
  const made = await call(openPullSchema, (octokit, at) =>
    octokit.rest.pulls.create({...at, head: branch, base, title, body}),
  );
  return {number: made.number, url: made.html_url, branch, commit, outcome: 'opened'};

  function commitRequest(id: string): Parameters<RepositoryCall>[1] {
    return (octokit, at) => octokit.rest.git.getCommit({...at, commit_sha: id});
  }

  async function readCommit(id: string): Promise<z.infer<typeof commitSchema>> {
    try {
      return await call(commitSchema, commitRequest(id));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new AppError(
        'REVISION_NOT_FOUND',
        `GitHub has no commit ${id.slice(0, 8)} of ${base}, or its credentials may not read it. Push the branch there first.`,
        {cause: error},
      );
    }
  }

  async function tipOf(name: string): Promise<string | null> {
    try {
      const found = await call(refSchema, (octokit, at) =>
        octokit.rest.git.getRef({...at, ref: `heads/${name}`}),
      );
      return found.object.sha;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  async function moveTo(from: string | null): Promise<string> {
    const {sha} = await call(objectSchema, (octokit, at) =>
      octokit.rest.git.createCommit({...at, tree, parents: [parent], message: `${title}\n\n${marker}\n`}),
    );
    await call(refSchema, (octokit, at) =>
      from === null
        ? octokit.rest.git.createRef({...at, ref: `refs/heads/${branch}`, sha})
        : octokit.rest.git.updateRef({...at, ref: `heads/${branch}`, sha, force: true}),
    );
    return sha;
  }

  async function openPull(): Promise<{number: number; url: string} | undefined> {
    const pulls = await call(z.array(openPullSchema), (octokit, at) =>
      octokit.rest.pulls.list({...at, state: 'open', head: `${at.owner}:${branch}`}),
    );
    const found = pulls.find(({head}) => head.ref === branch);
    return found === undefined ? undefined : {number: found.number, url: found.html_url};
  }
}

async function writeTree(
  call: RepositoryCall,
  {parent, base, files}: {parent: z.infer<typeof commitSchema>; base: string; files: ChangeProposal['files']},
): Promise<string> {
  const entries = await Promise.all(
    files.map(async ({path, content, isExecutable}) => {
      const entry = {
        path,
        mode: isExecutable ? ('100755' as const) : ('100644' as const),
        type: 'blob' as const,
      };
      if (content === null) return {...entry, sha: null};
      const text = new TextDecoder('utf-8', {ignoreBOM: true}).decode(content);
      if (Buffer.from(text).equals(content)) return {...entry, content: text};
      const {sha} = await call(objectSchema, (octokit, at) =>
        octokit.rest.git.createBlob({
          ...at,
          content: Buffer.from(content).toString('base64'),
          encoding: 'base64',
        }),
      );
      return {...entry, sha};
    }),
  );
  const {sha} = await call(objectSchema, (octokit, at) =>
    octokit.rest.git.createTree({...at, base_tree: parent.tree.sha, tree: entries}),
  );
  if (sha !== parent.tree.sha) return sha;
  throw new AppError(
    'REVISION_NOT_FOUND',
    `Commit ${parent.sha.slice(0, 8)} of ${base} holds all of it already`,
  );
}

function isNotFound(error: unknown): boolean {
  return error instanceof AppError && answerOf(error.cause).status === notFound;
}
