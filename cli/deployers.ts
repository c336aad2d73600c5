import {createHash, timingSafeEqual} from 'node:crypto';
import {createDeployers, type Deployer, type Deployers} from '../api/deployers.ts';
import {createJobTokens, type JobIssuer} from '../api/job-tokens.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {createBranchFilter} from '../schemas/branch-glob.ts';
import type {DeployersConfig, JobDeployerConfig, TokenDeployerConfig} from '../schemas/deploy-config.ts';
import {AppError} from '../schemas/errors.ts';
import type {SecretSource} from '../schemas/secret-source.ts';

/** Whoever sends wrong tokens must not make the controller start commands all the time. */
const renewalDistanceMs = 10_000;
const shortestToken = 32;

/** Those of the configuration, and the admin. Throws CONFIG_INVALID for a token that cannot be read or is too short. */
export async function openDeployers(
  config: DeployersConfig,
  {
    isAdmin,
    publicUrl,
    readSecret,
    clock,
    log,
  }: {
    isAdmin: (authorization: string) => boolean;
    /** Null where none is configured. */
    publicUrl: string | null;
    readSecret: (source: SecretSource) => Promise<string>;
    clock: Clock;
    log: Log;
  },
): Promise<Deployers> {
  const bearers = config.filter((deployer) => 'token' in deployer);
  const issuers = config.filter((deployer) => 'issuer' in deployer).map((job) => issuerOf(job, publicUrl));
  let readAtMs = clock.now();
  let known = await Promise.all(bearers.map((deployer) => bearerOf(deployer, readSecret)));
  const find = (token: string): Deployer | null => {
    const presented = digest(token);
    // All are compared, so that the time says nothing of which one it was.
    return known.filter(({sha256}) => timingSafeEqual(sha256, presented))[0]?.deployer ?? null;
  };
  return createDeployers({
    isAdmin,
    async ofToken(token) {
      const found = find(token);
      if (found !== null || bearers.length === 0 || clock.now() - readAtMs < renewalDistanceMs) return found;
      readAtMs = clock.now();
      try {
        known = await Promise.all(bearers.map((deployer) => bearerOf(deployer, readSecret)));
      } catch (error) {
        log.warn('the tokens of deployers cannot be read; the former ones hold', {error});
      }
      return find(token);
    },
    ofJob: issuers.length === 0 ? null : createJobTokens(issuers, {clock, log}),
  });
}

async function bearerOf(
  {token, repositories}: TokenDeployerConfig,
  readSecret: (source: SecretSource) => Promise<string>,
): Promise<{sha256: Buffer; deployer: Deployer}> {
  const value = await readSecret(token).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('CONFIG_INVALID', `deployers: ${reason}`, {cause});
  });
  if (value.length < shortestToken)
    throw new AppError(
      'CONFIG_INVALID',
      `deployers: the token for ${repositories.join(', ')} has fewer than ${shortestToken} characters; make one with: openssl rand -hex 32`,
    );
  return {
    sha256: digest(value),
    deployer: {mayDeploy: createBranchFilter(repositories.map(asNamed)), maySkip: true},
  };
}

const gitHubIssuer = 'token.actions.githubusercontent.com';

function issuerOf(
  {issuer, audience, host, repository_claim, jwks_url, claims}: JobDeployerConfig,
  publicUrl: string | null,
): JobIssuer {
  const wanted = audience ?? publicUrl;
  if (wanted === null)
    throw new AppError(
      'CONFIG_INVALID',
      `deployers: say for whom the tokens of ${issuer} must be made, with audience, or as public_url.`,
    );
  const ownHost = new URL(issuer).hostname;
  return {
    issuer,
    audience: wanted,
    host: host ?? (ownHost === gitHubIssuer ? 'github.com' : ownHost),
    repositoryClaim: repository_claim,
    jwksUrl: jwks_url ?? null,
    claims,
  };
}

/** Names of forges are in lower case, paths as they are. */
function asNamed(glob: string): string {
  return glob.startsWith('/') ? glob : glob.toLowerCase();
}

/** Equal lengths for the comparison, whatever was sent. */
function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
