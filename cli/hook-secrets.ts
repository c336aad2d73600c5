import type {HookSecrets} from '../api/webhooks.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Forge} from '../schemas/delivery.ts';
import {AppError} from '../schemas/errors.ts';
import type {WebhooksConfig} from '../schemas/forge-config.ts';
import type {SecretSource} from '../schemas/secret-source.ts';

/** Whoever sends wrong signatures must not make the controller start commands all the time. */
const renewalDistanceMs = 10_000;

/**
 * Reads the secrets of webhooks, and again where a signature does not match, so that a rotation needs no restart.
 * Throws CONFIG_INVALID where one cannot be read at the start.
 */
export async function openHookSecrets(
  config: WebhooksConfig,
  {readSecret, clock, log}: {readSecret: (source: SecretSource) => Promise<string>; clock: Clock; log: Log},
): Promise<HookSecrets> {
  const known = new Map<Forge, readonly string[]>();
  const readAtMs = new Map<Forge, number>();
  const read = async (forge: Forge) => {
    readAtMs.set(forge, clock.now());
    return Promise.all((config[forge]?.secrets ?? []).map(readSecret));
  };
  for (const forge of Object.keys(config) as Forge[]) {
    const secrets = await read(forge).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AppError('CONFIG_INVALID', `webhooks.${forge}.secrets: ${reason}`, {cause});
    });
    known.set(forge, secrets);
  }
  return {
    of: (forge) => known.get(forge) ?? [],
    async renew(forge) {
      if (config[forge] === undefined) return false;
      if (clock.now() - (readAtMs.get(forge) ?? 0) < renewalDistanceMs) return false;
      try {
        const before = known.get(forge) ?? [];
        const secrets = await read(forge);
        known.set(forge, secrets);
        return secrets.length !== before.length || secrets.some((secret, index) => secret !== before[index]);
      } catch (error) {
        log.warn('the secrets of a webhook cannot be read; the former ones hold', {forge, error});
        return false;
      }
    },
  };
}
