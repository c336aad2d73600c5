import type {Octokit} from '@octokit/rest';
import type {Log} from '../../../runtime/platform/log.ts';
import type {Budget} from './budget.ts';

export type GitHubCredentials =
  | {readonly kind: 'token'; readonly token: string}
  /** `installationId`: looked up by repository unless given. */
  | {
      readonly kind: 'app';
      readonly appId: string;
      readonly privateKey: string;
      readonly installationId: number | null;
    };

export interface OctokitOptions {
  readonly apiUrl: string;
  readonly credentials: GitHubCredentials;
  readonly log: Log;
  readonly budget: Budget;
  readonly writeIntervalMs: number;
  readonly userAgent: string;
}

/** A limit that ends later than this is not waited for: whoever asked comes back. */
const longestWaitSeconds = 20;

/** A client for one repository's calls: a token's, or that of the App's installation there, renewed by itself. */
export type OctokitFor = (owner: string, repo: string) => Promise<Octokit>;

/** Loads Octokit, which takes some memory, and nothing before its first use. */
export async function createOctokits(options: OctokitOptions): Promise<OctokitFor> {
  const [{Octokit: Base}, {throttling}, {retry}, {createAppAuth}, {default: Bottleneck}] = await Promise.all([
    import('@octokit/rest'),
    import('@octokit/plugin-throttling'),
    import('@octokit/plugin-retry'),
    import('@octokit/auth-app'),
    import('bottleneck/light.js'),
  ]);
  const {apiUrl, credentials, log, userAgent, budget, writeIntervalMs} = options;
  const paced = (minTime: number) => new Bottleneck.Group({maxConcurrent: 1, minTime});
  const waits = (retryAfter: number, _request: unknown, _octokit: unknown, retryCount: number) =>
    retryCount === 0 && retryAfter <= longestWaitSeconds;
  const common = {
    baseUrl: apiUrl,
    userAgent,
    // What an error holds besides its message may be a header with a token.
    log: {
      debug: () => {},
      info: () => {},
      warn: (message: string) => log.info('GitHub', {message}),
      error: (message: string) => log.info('GitHub', {message}),
    },
    throttle: {
      onRateLimit: waits,
      onSecondaryRateLimit: waits,
      id: apiUrl,
      write: paced(writeIntervalMs),
      notifications: paced(3 * writeIntervalMs),
    },
    retry: {retries: 1, doNotRetry: [304, 400, 401, 403, 404, 410, 415, 422, 429, 451]},
  };
  const Client = Base.plugin(budget.plugin, triesOnce, throttling, retry);
  if (credentials.kind === 'token') {
    const client = new Client({...common, auth: credentials.token});
    return async () => client;
  }
  const {appId, privateKey} = credentials;
  const app = new Client({...common, authStrategy: createAppAuth, auth: {appId, privateKey}});
  const installations = new Map<string, Promise<Octokit>>();
  const open = async (owner: string, repo: string): Promise<Octokit> => {
    const installationId =
      credentials.installationId ?? (await app.rest.apps.getRepoInstallation({owner, repo})).data.id;
    return new Client({...common, authStrategy: createAppAuth, auth: {appId, privateKey, installationId}});
  };
  return (owner, repo) => {
    const key = `${owner}/${repo}`;
    const known = installations.get(key);
    if (known !== undefined) return known;
    const opened = open(owner, repo);
    installations.set(key, opened);
    // Whoever installs the App later is found then.
    opened.catch(() => installations.delete(key));
    return opened;
  };
}

/** What was made although the answer was lost must not be made again: whoever asked looks first. */
function triesOnce(octokit: Pick<Octokit, 'hook'>): void {
  octokit.hook.before('request', (options) => {
    if (options.method === 'POST') options.request = {...options.request, retries: 0};
  });
}
