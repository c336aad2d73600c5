import type {Exchange, ExchangeHandler} from '../runtime/platform/http-exchange.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {RequestHead} from '../runtime/platform/request-head.ts';
import type {AppError} from '../schemas/errors.ts';
import {loggedError} from './errors.ts';
import type {RefuseExchange} from './exchange-refusal.ts';
import type {Gateway} from './gateway.ts';
import {originForm} from './origin-form.ts';

/** Shares the requests of the controller's listeners out: to containers, and to the controller's own API. */
export function createControllerFront({
  refusal,
  gateway,
  app,
  answerByFetch,
  refuse,
  log,
}: {
  /** A check before all others: why a request goes no further; null lets it pass. */
  refusal: (head: RequestHead) => AppError | null;
  gateway: Gateway;
  app: (request: Request) => Promise<Response>;
  answerByFetch: (
    exchange: Exchange,
    target: string,
    fetch: (request: Request) => Promise<Response>,
  ) => Promise<void>;
  refuse: RefuseExchange;
  log: Log;
}): ExchangeHandler {
  async function answer(exchange: Exchange): Promise<void> {
    const refused = refusal(exchange.head);
    if (refused !== null) throw refused;
    if (gateway.intercept(exchange)) return;
    await answerByFetch(exchange, originForm(exchange.head.target), app);
  }

  return {
    handle: (exchange) =>
      void answer(exchange).catch((error: unknown) => refuse(exchange.respond, loggedError(error, log))),
    refuse: (error, respond) => refuse(respond, error),
  };
}
