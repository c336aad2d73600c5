import {AppError} from '../schemas/errors.ts';

/** Somebody who may say that repositories are to be looked at, and see what becomes of it; nothing else. */
export interface Deployer {
  /** `host/owner/name` of a repository, or its path on this host. */
  mayDeploy(repository: string): boolean;
  /** May say that a commit is not to run. */
  readonly maySkip: boolean;
}

export interface Deployers {
  /** Null for a header that nobody gave out. Throws UNAUTHENTICATED for a token of a CI job that is wrong, with what is. */
  of(authorization: string): Promise<Deployer | null>;
}

/** Three parts of base64url with dots between. */
const jobToken = /^[\w-]+\.[\w-]+\.[\w-]*$/;
/** GitHub's have about 2 KB. */
const longestToken = 16 * 1024;

/** The admin, bearers of configured tokens and CI jobs. */
export function createDeployers({
  isAdmin,
  ofToken,
  ofJob,
}: {
  isAdmin: (authorization: string) => boolean;
  ofToken: (token: string) => Promise<Deployer | null>;
  /** Gets what looks like a JSON web token; null where no issuer is configured. */
  ofJob: ((token: string) => Promise<Deployer>) | null;
}): Deployers {
  return {
    async of(authorization) {
      if (isAdmin(authorization)) return {mayDeploy: () => true, maySkip: true};
      const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      if (token === undefined) return null;
      if (token.length > longestToken)
        throw new AppError('UNAUTHENTICATED', 'The token is longer than any that is given out.');
      return ofJob !== null && jobToken.test(token) ? ofJob(token) : ofToken(token);
    },
  };
}
