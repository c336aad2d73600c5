import {randomUUID} from 'node:crypto';
import {Hono} from 'hono';
import type {Deliveries} from '../reconciler/deliveries.ts';
import type {Forge, ForgeNews} from '../schemas/delivery.ts';
import {AppError} from '../schemas/errors.ts';
import type {Deployer, Deployers} from './deployers.ts';
import {parseJsonBytes, readBytes} from './json-body.ts';
import {type PayloadParser, parseGeneric, parseGitHub, parseGitLab} from './webhook-payloads.ts';
import {isSecret, isSigned} from './webhook-signature.ts';

/** No forge sends more; GitHub cuts what would be larger than 25 MB, and our part of it is far smaller. */
export const maxHookBytes = 3 * 1024 * 1024;

/** Where the secrets of a hook come from. */
export interface HookSecrets {
  /** None where the hook is closed. */
  of(forge: Forge): readonly string[];
  /** Reads them anew, not too often: true where they are others now. Called when a signature did not match. */
  renew(forge: Forge): Promise<boolean>;
}

/** How a forge says what and proves that it is the forge. */
interface HookProtocol {
  readonly event: (headers: Headers) => string;
  readonly delivery: (headers: Headers) => string | undefined;
  readonly isFrom: (headers: Headers, body: Uint8Array, secrets: readonly string[]) => boolean;
  readonly parse: PayloadParser;
  /** Header that carries the proof, for people. */
  readonly proof: string;
}

const header = (headers: Headers, name: string): string => headers.get(name) ?? '';
const signedBy =
  (name: string, prefix: string): HookProtocol['isFrom'] =>
  (headers, body, secrets) => {
    const value = header(headers, name);
    return value.startsWith(prefix) && isSigned(body, value.slice(prefix.length), secrets);
  };

const protocols: Readonly<Record<Forge, HookProtocol>> = {
  github: {
    event: (headers) => header(headers, 'x-github-event'),
    delivery: (headers) => headers.get('x-github-delivery') ?? undefined,
    isFrom: signedBy('x-hub-signature-256', 'sha256='),
    parse: parseGitHub,
    proof: 'X-Hub-Signature-256',
  },
  gitea: {
    event: (headers) => header(headers, 'x-gitea-event'),
    delivery: (headers) => headers.get('x-gitea-delivery') ?? undefined,
    isFrom: signedBy('x-gitea-signature', ''),
    parse: parseGitHub,
    proof: 'X-Gitea-Signature',
  },
  gitlab: {
    event: (headers) => header(headers, 'x-gitlab-event'),
    delivery: (headers) => headers.get('idempotency-key') ?? headers.get('x-gitlab-event-uuid') ?? undefined,
    isFrom: (headers, _body, secrets) => isSecret(header(headers, 'x-gitlab-token'), secrets),
    parse: parseGitLab,
    proof: 'X-Gitlab-Token',
  },
  generic: {
    event: () => 'push',
    delivery: (headers) => headers.get('x-branchtab-delivery') ?? undefined,
    isFrom: signedBy('x-branchtab-signature', 'sha256='),
    parse: parseGeneric,
    proof: 'X-Branchtab-Signature, or a token of `deployers` in Authorization,',
  },
};

/** `POST /hooks/<forge>`. Nothing of a body is parsed before it is known who sent it, and nothing is done but to look. */
export function webhookRoutes({
  deliveries,
  secrets,
  deployers,
}: {
  deliveries: Deliveries;
  secrets: HookSecrets;
  /** Their tokens open the generic hook too. */
  deployers: Deployers;
}): Hono {
  const app = new Hono();

  const isFromForge = async (forge: Forge, headers: Headers, body: Uint8Array): Promise<boolean> => {
    const {isFrom} = protocols[forge];
    if (isFrom(headers, body, secrets.of(forge))) return true;
    return (await secrets.renew(forge)) && isFrom(headers, body, secrets.of(forge));
  };

  for (const forge of Object.keys(protocols) as Forge[]) {
    const protocol = protocols[forge];
    app.post(`/hooks/${forge}`, async (c) => {
      const {headers} = c.req.raw;
      const authorization = headers.get('authorization');
      const deployer =
        forge === 'generic' && authorization !== null ? await deployers.of(authorization) : null;
      if (deployer === null && authorization !== null && !headers.has('x-branchtab-signature'))
        refuseAuthorization(forge);
      if (deployer === null && secrets.of(forge).length === 0) {
        throw new AppError(
          'HOOK_CLOSED',
          `No secret is configured for this hook: set webhooks.${forge}.secrets in branchtab.yaml.`,
        );
      }
      const body = await readBytes(c.req.raw, maxHookBytes);
      if (deployer === null && !(await isFromForge(forge, headers, body))) {
        throw new AppError(
          'SIGNATURE_INVALID',
          `${protocol.proof} is missing or does not match webhooks.${forge}.secrets of branchtab.yaml.`,
        );
      }
      const event = wordOf(protocol.event(headers), 'event');
      const delivery = wordOf(protocol.delivery(headers) ?? randomUUID(), 'id of the delivery');
      const payload = parseJsonBytes(jsonOf(headers, body));
      const news = {forge, delivery, event, ...protocol.parse(event, payload)};
      if (deployer !== null) requireRight(deployer, news);
      const accepted = await deliveries.accept(news);
      c.header('Location', `/api/v1/deliveries/${encodeURIComponent(delivery)}`);
      return c.json({...accepted.delivery, duplicate: !accepted.isNew}, 202);
    });
  }
  return app;
}

/** Other hooks do not read the header; a proxy may have set it. */
function refuseAuthorization(forge: Forge): void {
  if (forge !== 'generic') return;
  throw new AppError(
    'UNAUTHENTICATED',
    'The token in Authorization is none of `deployers` of branchtab.yaml, and not that of the controller.',
  );
}

function requireRight(deployer: Deployer, {repositories, subject}: ForgeNews): void {
  if (!repositories.every((repository) => deployer.mayDeploy(repository)))
    throw new AppError('FORBIDDEN', 'The token is for another repository than the one in the body.');
  if (subject.kind === 'skip' && !deployer.maySkip)
    throw new AppError('FORBIDDEN', 'A token of a CI job cannot say that a commit is not to run.');
}

/** Of a header, for a record that people read. */
function wordOf(text: string, what: string): string {
  if (/^[\x21-\x7e][\x20-\x7e]{0,198}$/.test(text)) return text;
  throw new AppError('INVALID_BODY', `The header with the ${what} is missing or no word.`);
}

/** GitHub sends a form where the hook was made with the content type that its pages offer first. */
function jsonOf(headers: Headers, body: Uint8Array): Uint8Array {
  if (!header(headers, 'content-type').startsWith('application/x-www-form-urlencoded')) return body;
  return Buffer.from(new URLSearchParams(Buffer.from(body).toString('utf8')).get('payload') ?? '');
}
