import {execFileSync} from 'node:child_process';
import type {GitHubDescription} from './github-openapi.ts';
import type {Route} from './github-stand-in.ts';

const author = {
  GIT_AUTHOR_NAME: 'Octocat',
  GIT_AUTHOR_EMAIL: 'octocat@example.org',
  GIT_COMMITTER_NAME: 'Octocat',
  GIT_COMMITTER_EMAIL: 'octocat@example.org',
};

interface TreeEntry {
  readonly path: string;
  readonly mode: string;
  readonly sha?: string | null;
  readonly content?: string;
}

/** GitHub's git database, kept in a real repository: what is written there is what `git` reads. */
export function gitRoutes(description: GitHubDescription, directory: () => string): Route[] {
  const repo = '/repos/{owner}/{repo}/git';
  const git = (args: readonly string[], {input, index}: {input?: string | Buffer; index?: string} = {}) =>
    execFileSync('git', ['-C', directory(), ...args], {
      ...(input === undefined ? {} : {input}),
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {PATH: process.env.PATH, ...author, ...(index === undefined ? {} : {GIT_INDEX_FILE: index})},
    })
      .toString()
      .trim();
  const has = (object: string): boolean => {
    try {
      git(['cat-file', '-e', object]);
      return true;
    } catch {
      // It is not there.
      return false;
    }
  };
  const lacks = {status: 404, data: {message: 'Not Found'}};
  const commitOf = (sha: string) => {
    const example = description.example('git-commit') as {parents: object[]; tree: object};
    return {
      ...example,
      sha,
      message: git(['show', '--no-patch', '--format=%B', sha]),
      tree: {...example.tree, sha: git(['rev-parse', `${sha}^{tree}`])},
      parents: git(['show', '--no-patch', '--format=%P', sha])
        .split(' ')
        .filter((parent) => parent !== '')
        .map((parent) => ({...example.parents[0], sha: parent})),
    };
  };
  const refOf = (ref: string, sha: string) => {
    const example = description.example('git-ref') as {object: object};
    return {...example, ref, object: {...example.object, sha}};
  };
  const putBlob = (content: Buffer) => git(['hash-object', '-w', '--stdin'], {input: content});

  return [
    {
      method: 'GET',
      path: `${repo}/commits/{commit_sha}`,
      answer: ({commit_sha = ''}) =>
        has(`${commit_sha}^{commit}`) ? {status: 200, data: commitOf(commit_sha)} : lacks,
    },
    {
      method: 'POST',
      path: `${repo}/blobs`,
      answer: (_values, {content, encoding}) => ({
        status: 201,
        data: {
          ...description.example('short-blob'),
          sha: putBlob(Buffer.from(String(content), encoding === 'base64' ? 'base64' : 'utf8')),
        },
      }),
    },
    {
      method: 'POST',
      path: `${repo}/trees`,
      answer(_values, {base_tree, tree}) {
        const index = `${directory()}/index-${crypto.randomUUID()}`;
        git(['read-tree', String(base_tree)], {index});
        for (const {path, mode, sha, content} of tree as TreeEntry[]) {
          const id = content === undefined ? sha : putBlob(Buffer.from(content));
          const line = id == null ? `0 ${'0'.repeat(40)}\t${path}\0` : `${mode} ${id}\t${path}\0`;
          git(['update-index', '-z', '--index-info'], {index, input: line});
        }
        const id = git(['write-tree'], {index});
        return {status: 201, data: {...description.example('git-tree'), sha: id}};
      },
    },
    {
      method: 'POST',
      path: `${repo}/commits`,
      answer(_values, {tree, parents, message}) {
        const ancestors = (parents as string[]).flatMap((parent) => ['-p', parent]);
        const sha = git(['commit-tree', String(tree), ...ancestors], {input: String(message)});
        return {status: 201, data: commitOf(sha)};
      },
    },
    {
      method: 'GET',
      path: `${repo}/ref/{ref}`,
      answer({ref = ''}) {
        const name = `refs/${ref}`;
        return has(name) ? {status: 200, data: refOf(name, git(['rev-parse', name]))} : lacks;
      },
    },
    {
      method: 'POST',
      path: `${repo}/refs`,
      answer(_values, {ref, sha}) {
        git(['update-ref', String(ref), String(sha), '0'.repeat(40)]);
        return {status: 201, data: refOf(String(ref), String(sha))};
      },
    },
    {
      method: 'PATCH',
      path: `${repo}/refs/{ref}`,
      answer({ref = ''}, {sha}) {
        git(['update-ref', `refs/${ref}`, String(sha)]);
        return {status: 200, data: refOf(`refs/${ref}`, String(sha))};
      },
    },
  ];
}
