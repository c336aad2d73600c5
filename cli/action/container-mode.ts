import * as z from 'zod';
import {answeredError} from '../../api/answered-error.ts';
import {readBranchFiles} from '../../reconciler/branch-files.ts';
import {crontabIssues} from '../../reconciler/desired.ts';
import type {BranchFiles} from '../../reconciler/observation.ts';
import type {LocalSource} from '../../reconciler/sources/git-local.ts';
import {decodeUtf8} from '../../reconciler/utf8.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {inDirectory, wholeRepository} from '../../schemas/branch-name.ts';
import {formatDuration} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import {repositoryFilesDirectory, scriptsDirectory} from '../../schemas/script-settings.ts';
import {unparsed} from './checkout.ts';
import type {Inputs} from './inputs.ts';
import type {JobOutput} from './job-output.ts';
import type {Outcome} from './outcome.ts';

const requestTimeoutMs = 60_000;
const pageSize = 100;

/**
 * Without a controller: brings the commit's scripts and then its crontabs straight into a container, which has nothing
 * else of either then. Entries that people made stay. Nothing is sent while one file has an error.
 */
export async function deployToContainer(
  source: LocalSource,
  {revision, containerUrl}: {revision: string; containerUrl: string},
  inputs: Inputs,
  {output, clock}: {output: JobOutput; clock: Clock},
): Promise<Outcome> {
  const startedMs = clock.now();
  const {signal} = new AbortController();
  const commit = await source.resolve(revision, {signal});
  const path = inputs.path ?? wholeRepository;
  const tree = await source.readHoody(commit, {path, signal});
  if (tree === null)
    return {
      state: 'unserved',
      message: 'Nothing is deployed: the commit has no .hoody directory.',
      isFailure: false,
      notice: 'Nothing is deployed: the commit has no .hoody directory.',
    };
  const files = await readBranchFiles(tree, {
    ...unparsed,
    timeZone: inputs.timeZone,
    readFile: (file) => source.readFile(commit, inDirectory(path, file), {signal}),
  });
  const issues = [...files.issues, ...crontabIssues(files.crontabs), ...needsController(files)];
  for (const issue of issues) output.annotate('error', {...issue, file: inDirectory(path, issue.file)});
  if (issues.length > 0)
    return {
      state: 'stalled',
      message: `Nothing was sent: ${issues.length} error(s), the first in ${issues[0]?.file}:${issues[0]?.line}: ${issues[0]?.message}`,
      isFailure: true,
    };
  const container = openContainer(containerUrl, inputs.token);
  const texts = new Map(files.scripts.map((script) => [script.path, decodeUtf8(script.bytes) ?? '']));
  await container.putScripts(texts);
  const crontabs = new Map(files.crontabs.map(({user, text}) => [user, text]));
  try {
    await container.putCrontabs(crontabs);
  } catch (error) {
    for (const issue of issuesOf(error))
      output.annotate('error', {...issue, file: inDirectory(path, issue.file)});
    throw error;
  }
  const tookMs = clock.now() - startedMs;
  await output.set('active-ms', String(tookMs));
  for (const [kit, url] of Object.entries(container.urls)) await output.set(`${kit}-url`, url);
  return {
    state: 'active',
    message: `${texts.size} script(s) and ${crontabs.size} crontab(s) of commit ${commit.slice(0, 8)} are in the container. It took ${formatDuration(tookMs)}.`,
    isFailure: false,
  };
}

/** Takes all scripts and all lines of crontabs out of the container. */
export async function emptyContainer(containerUrl: string, {token}: Inputs): Promise<Outcome> {
  const container = openContainer(containerUrl, token);
  await container.putCrontabs(new Map());
  await container.putScripts(new Map());
  return {
    state: 'gone',
    message: 'The container has no script and no line of a crontab any more.',
    isFailure: false,
  };
}

const isLock = /(?:^|\/)(?:bun\.lockb?|package-lock\.json)$/;

/** What a container takes by its public routes is less than what a controller gives it. */
function needsController({mounts, scripts}: BranchFiles): Issue[] {
  const at = {line: 1, column: 1, code: 'needs_controller'};
  return [
    ...mounts.map((mount) => ({
      ...at,
      file: placeOf(mount.file),
      message:
        'A manifest leads to this script, and only a controller can deploy manifests; give `controller` in the place of container-url.',
    })),
    ...scripts
      .filter(({path}) => isLock.test(path))
      .map(({path}) => ({
        ...at,
        file: placeOf(path),
        message: 'Only a controller installs npm packages of scripts.',
      })),
    ...scripts
      .filter(({bytes}) => decodeUtf8(bytes) === null)
      .map(({path}) => ({
        ...at,
        file: placeOf(path),
        message: 'Only text can be sent to a container; a controller deploys other files too.',
      })),
  ];
}

/** Where the repository has what a deployment calls by that path. */
function placeOf(path: string): string {
  const elsewhere = `${repositoryFilesDirectory}/`;
  return path.startsWith(elsewhere) ? path.slice(elsewhere.length) : `${scriptsDirectory}${path}`;
}

const issuesSchema = z.object({
  issues: z.array(z.object({line: z.int(), column: z.int(), code: z.string(), message: z.string()})),
});

/** Those of a crontab that the container refused. */
function issuesOf(error: unknown): Issue[] {
  if (!(error instanceof AppError) || error.code !== 'INVALID_CRONTAB') return [];
  const parsed = issuesSchema.safeParse(error.details);
  return (parsed.data?.issues ?? []).map((issue) => ({...issue, file: '.hoody/crontab'}));
}

interface ContainerAccess {
  readonly urls: {readonly cron: string; readonly exec: string};
  putScripts(texts: ReadonlyMap<string, string>): Promise<void>;
  putCrontabs(texts: ReadonlyMap<string, string>): Promise<void>;
}

function openContainer(containerUrl: string, token: string | null): ContainerAccess {
  // Behind a controller each service has an address of its own; a runtime alone has one for all of them.
  const isBehindController = /\/c\/[0-9a-f]{24}$/.test(containerUrl);
  const urlOf = (kit: 'cron' | 'exec') => (isBehindController ? `${containerUrl}/${kit}` : containerUrl);
  const authorization: Record<string, string> = token === null ? {} : {Authorization: `Bearer ${token}`};
  const call = async <T>(
    schema: z.ZodType<T>,
    kit: 'cron' | 'exec',
    method: string,
    path: string,
    body: {type: string; text: string} | null = null,
  ): Promise<T> => {
    const headers = {...authorization, Accept: 'application/json'};
    const init =
      body === null ? {headers} : {headers: {...headers, 'Content-Type': body.type}, body: body.text};
    const signal = AbortSignal.timeout(requestTimeoutMs);
    let response: Response;
    try {
      response = await fetch(`${urlOf(kit)}/api/v1/${kit}${path}`, {
        method,
        ...init,
        redirect: 'error',
        signal,
      });
    } catch (cause) {
      // The address is a secret, and the reason may hold it.
      throw new AppError('CONTAINER_UNAVAILABLE', 'Nothing answers at container-url.', {cause});
    }
    if (!response.ok) throw await answeredError(response, 'container');
    return schema.parse(await response.json());
  };
  const list = z.looseObject({
    scripts: z.array(z.looseObject({path: z.string(), isDirectory: z.boolean()})),
  });
  const users = z.looseObject({items: z.array(z.looseObject({user: z.string()})), total: z.int()});

  const usersOf = async (): Promise<string[]> => {
    const found: string[] = [];
    for (let page = 1; ; page += 1) {
      const {items, total} = await call(users, 'cron', 'GET', `/crontab?page=${page}&limit=${pageSize}`);
      found.push(...items.map(({user}) => user));
      if (items.length < pageSize || found.length >= total) return found;
    }
  };

  return {
    urls: {cron: urlOf('cron'), exec: urlOf('exec')},
    async putScripts(texts) {
      const {scripts} = await call(list, 'exec', 'GET', '/scripts/list?recursive=true&metadata=false');
      for (const [path, content] of texts)
        await call(z.unknown(), 'exec', 'POST', '/scripts/write', {
          type: 'application/json',
          text: JSON.stringify({path, content}),
        });
      for (const {path, isDirectory} of scripts) {
        if (isDirectory || texts.has(path)) continue;
        await call(
          z.unknown(),
          'exec',
          'DELETE',
          `/scripts/delete?confirm=true&path=${encodeURIComponent(path)}`,
        );
      }
    },
    async putCrontabs(texts) {
      // Whoever the branch names no more keeps the entries made by hand and loses the lines.
      const gone = (await usersOf())
        .filter((user) => !texts.has(user))
        .map((user): [string, string] => [user, '']);
      for (const [user, text] of [...texts, ...gone])
        await call(z.unknown(), 'cron', 'PUT', `/users/${encodeURIComponent(user)}/crontab?managed=keep`, {
          type: 'text/plain',
          text,
        });
    },
  };
}
