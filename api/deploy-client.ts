import * as z from 'zod';
import {branchSchema, containerViewSchema} from '../schemas/branch.ts';
import {deliverySchema} from '../schemas/delivery.ts';
import {askController} from './controller-request.ts';

/** Only what is needed of a branch, so that a controller of another version is understood too. */
const deployedBranchSchema = branchSchema
  .pick({
    key: true,
    repository: true,
    path: true,
    branch: true,
    live: true,
    revision: true,
    observed_revision: true,
    conditions: true,
    active_ms: true,
    next_run: true,
  })
  .extend({container: containerViewSchema.pick({id: true, urls: true}).nullable()});
export type DeployedBranch = z.infer<typeof deployedBranchSchema>;

const toldSchema = deliverySchema.pick({
  id: true,
  outcome: true,
  reason: true,
  watched: true,
  looked_at: true,
  found: true,
});
export type Told = z.infer<typeof toldSchema>;

/** Where a branch of a repository is now: null where it is gone. */
export interface DeploymentNews {
  /** Address of the repository, or its path on the controller's host. */
  readonly repository: string;
  readonly branch: string;
  readonly commit: string | null;
}

/** What hooks of git servers and CI jobs ask of a controller. */
export interface DeployClient {
  tell(news: DeploymentNews): Promise<Told>;
  /** All branches of a repository may have moved. */
  tellAll(repository: string): Promise<Told>;
  /** Before the push: that commit is not to run. */
  skip(news: DeploymentNews & {readonly commit: string}): Promise<Told>;
  told(id: string): Promise<Told>;
  /** Of the repositories that the token is for. */
  branches(): Promise<DeployedBranch[]>;
}

const requestTimeoutMs = 20_000;

export function createDeployClient({
  url,
  token,
}: {
  /** Without a final slash. */
  url: string;
  /** Asked before each request: those of CI jobs live for minutes. */
  token: () => Promise<string>;
}): DeployClient {
  const call = async <T>(schema: z.ZodType<T>, method: string, path: string, body?: object): Promise<T> => {
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const options = body === undefined ? {signal} : {signal, body};
    return schema.parse(await (await askController(url, await token(), method, path, options)).json());
  };
  const tell = (body: object) => call(toldSchema, 'POST', '/hooks/generic', body);
  return {
    tell: ({repository, branch, commit}) => tell({repository, branch, commit}),
    tellAll: (repository) => tell({repository}),
    skip: ({repository, branch, commit}) => tell({repository, branch, commit, skip: true}),
    told: (id) => call(toldSchema, 'GET', `/api/v1/deliveries/${encodeURIComponent(id)}`),
    branches: async () =>
      (await call(z.object({items: z.array(deployedBranchSchema)}), 'GET', '/api/v1/branches')).items,
  };
}
