// The types need no DOM library. If the platform's types are present (DOM, or Node's),
// events and event targets are those.

type Global = typeof globalThis;
type PlatformEvent = Global extends { Event: { prototype: infer E extends object } } ? E : { readonly type: string };
type ListenerOptions = boolean | { once?: boolean; passive?: boolean; capture?: boolean; signal?: any };

/** The part of an AbortSignal that the client uses. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason?: any;
  addEventListener(type: "abort", listener: (event: any) => void, options?: any): void;
  removeEventListener(type: "abort", listener: (event: any) => void): void;
}

/** An EventTarget with typed events. */
declare class Target<Events> {
  addEventListener<K extends keyof Events>(type: K, listener: (event: Events[K]) => void, options?: ListenerOptions): void;
  addEventListener(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null, options?: ListenerOptions): void;
  removeEventListener(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null, options?: ListenerOptions): void;
  dispatchEvent(event: any): boolean;
}

/** What the server reported (RFC 9457). */
export interface Problem {
  type?: string;
  title: string;
  /** The HTTP status. */
  status?: number;
  detail?: string;
  [field: string]: unknown;
}

/** A problem that the server reported, or one of the client itself. */
export class BinderyError extends Error {
  constructor(problem: Problem);
  readonly type: string;
  readonly title: string;
  /** The HTTP status, 0 where there is none. */
  readonly status: number;
  readonly detail: string;
  readonly problem: Problem;
}

/** A value of a parameter. */
export type Param = string | number | bigint | boolean;

/**
 * Parameters of a member of a family. A parameter that may have several values is a
 * list. null and undefined count as not given.
 */
export type Params = Readonly<Record<string, Param | readonly Param[] | null | undefined>>;

/** The value of a key; for a key of several columns an array of their values, or an object with them. */
export type Key<T> = string | number | boolean | readonly unknown[] | Partial<T>;

/** The messages of the protocol. */
export interface Message<T = any> {
  event: string;
  action: "sync" | "create" | "update" | "delete" | "page" | "leave" | "mark" | "error";
  /** Rows; keys of deleted rows; "ok" in a sync that confirms the version; the problem in an error. */
  payload?: T[] | Partial<T>[] | "ok" | Problem;
  params?: Params;
  page?: number;
  pages?: number;
  /** The columns of the order; a leading "-" means descending. */
  order?: string[];
  version?: string;
  last_modified?: string;
  more?: boolean;
  /** The mark that the stream has reached. */
  mark?: string;
}

type Awaitable<T> = T | PromiseLike<T>;
type HeaderList = Record<string, string> | Iterable<readonly [string, string]>;

/** Options of {@link connect}. Times are in milliseconds. */
export interface ClientOptions {
  /**
   * Use only this transport. "poll" is for bindings behind a shared cache: it asks the
   * REST endpoints for changes.
   */
  transport?: "websocket" | "sse" | "poll";
  /** How many seconds the server may hold a poll; 0 for not at all. Default: 20. */
  pollWait?: number;
  /** Milliseconds between polls that the server does not hold. Default: 2,000. */
  pollInterval?: number;
  /** Path of the WebSocket endpoint, relative to the base, or false to use none. Default: "ws". */
  websocket?: string | false;
  /** Path of the event streams, relative to the base, or false to use none. Default: "events". */
  sse?: string | false;
  /** Path of the REST endpoints, for writes, relative to the base, or false for none. Default: "api". */
  rest?: string | false;
  /** Timeout of a request. Default: 30,000. */
  requestTimeout?: number;
  /** How long an answered write may cover the server's rows at most. Default: 10,000. */
  settleTimeout?: number;
  /** Send cookies to event streams of another origin. WebSockets always send them. Default: false. */
  withCredentials?: boolean;
  /**
   * A bearer token, or a function that returns one for each connection. WebSockets send
   * it as a subprotocol, requests in Authorization. `status` is 401 or 403 after the
   * server refused the previous token, else 0.
   */
  token?: string | ((why: { status: number }) => Awaitable<string | null | undefined>);
  /** Headers, or a function that returns them, as for `token`. WebSockets cannot send any: they are used only with a token, or if `websocket` is given. */
  headers?: HeaderList | ((why: { status: number }) => Awaitable<HeaderList | null | undefined>);
  /** How many times in a row the functions are called again after 401 or 403, with back-off. Default: 5. */
  renewals?: number;
  /**
   * Longest wait before the first reconnect. It doubles with each attempt; the wait is
   * a random part of it. Default: 500.
   */
  backoff?: number;
  /** Upper bound of the longest wait. Default: 15,000. */
  maxBackoff?: number;
  /** Timeout of opening a connection. Default: 10,000. */
  openTimeout?: number;
  /**
   * How long a WebSocket may be silent before the client probes the server. A stream is
   * reopened after twice that. Default: 30,000.
   */
  quietTimeout?: number;
  /** Timeout of the probe's answer. Default: 5,000. */
  probeTimeout?: number;
  /** How many WebSockets in a row may fail to open before SSE is tried. Default: 2. */
  fallbackAfter?: number;
  /**
   * How long SSE is used before a WebSocket is tried again after one failed beside it;
   * doubles up to 64 times. Default: 5,000.
   */
  upgradeInterval?: number;
  /** Constructors for platforms without them, such as that of the package ws. Without EventSource, fetch is used. */
  WebSocket?: unknown;
  EventSource?: unknown;
  fetch?: (url: string, init?: any) => Promise<any>;
  /** For tests. */
  clock?: {
    now?(): number;
    random?(): number;
    setTimeout?(fn: () => void, delay: number): unknown;
    clearTimeout?(timer: any): void;
  };
  window?: any;
  document?: any;
}

export interface CollectionOptions {
  /** Parameters, when the binding is a family. */
  params?: Params;
  /** The key's columns. By default they are inferred; after a wrong guess the rows are fetched again. */
  key?: readonly string[];
  /** Closes the collection. */
  signal?: Signal;
  /**
   * Rows that came with the page. They show at once, as "stale", and the client asks
   * for changes since their version.
   */
  initial?: { rows: readonly object[]; version: string; order?: readonly string[]; lastModified?: string };
  /** How many milliseconds the binding is followed after its last collection was closed. Default: 0. */
  linger?: number;
}

export interface WriteOptions {
  /** Show the effect before the server has answered. Default: true. */
  optimistic?: boolean;
  signal?: Signal;
}

export interface ChangeOptions extends WriteOptions {
  /**
   * The row's tag (ETag), which must still be current; or true: write only if the row
   * is as the collection shows it.
   */
  ifMatch?: string | boolean;
}

/** Resolves with the row as the server has it; rejects with a {@link BinderyError} that holds the problem. */
export interface Written<R> extends Promise<R> {
  /** Resolves when the write no longer covers the server's rows: they include it, or it was refused. */
  readonly settled: Promise<void>;
}

export interface JoinOptions {
  params?: Params;
  /** The version to resume from. */
  version?: string;
  /** Look at one page, counted from 1, instead of joining. Over WebSocket only. */
  page?: number;
  /** Leave instead of joining. */
  disconnect?: boolean;
}

/** Creates a client of the server at the base URL (default "/"). It connects at the first collection or join. */
export function connect(base?: string | { readonly href: string }, options?: ClientOptions): Client;

export type ClientStatus = "idle" | "connecting" | "live" | "waiting" | "closed";

interface ClientEvents {
  status: PlatformEvent;
  error: ProblemEvent;
}

/** One connection to a server, shared by all collections and joins. */
export class Client extends Target<ClientEvents> {
  constructor(base?: string | { readonly href: string }, options?: ClientOptions);
  /** Changes are dispatched as "status" events. "waiting" means waiting for the next attempt to connect. */
  readonly status: ClientStatus;
  readonly transport: "websocket" | "sse" | "poll" | null;
  /** Opens a live collection of the binding's rows. Collections of one binding share its rows. */
  collection<T extends object = any>(name: string, options?: CollectionOptions): Collection<T>;
  /** Returns the state that collections of the binding show now, or null if there are none. */
  peek<T = any>(name: string, options?: { params?: Params }): State<T> | null;
  /**
   * Calls fn with each message of the binding of that name, batch by complete batch. Returns a
   * function that stops this. For the client's own events, "status" and "error", use addEventListener.
   */
  on<T = any>(event: string, fn: (message: Message<T>) => void): () => void;
  off(event: string, fn: (message: Message) => void): this;
  /** Joins a binding, leaves it or looks at a page. The messages go to the functions given to on. */
  emit(event: string, options?: JoinOptions): this;
  /** Reconnects now if the client waits to reconnect; otherwise probes the server. */
  wake(): void;
  /** Reconnects and resumes. Call it after a login or logout if cookies identify the user. */
  reconnect(): void;
  /** Ends the connection and every collection, for good. */
  close(): void;
}

/**
 * "connecting": no rows yet. "live". "stale": the rows may be old, because the
 * connection is lost. "closed": for good.
 */
export type Status = "connecting" | "live" | "stale" | "closed";

export interface State<T> {
  readonly rows: readonly T[];
  readonly status: Status;
  /** The version's token, "" before the first. */
  readonly version: string;
  /** When the rows last changed, RFC 3339; "" before the first version. */
  readonly lastModified: string;
  /** Why the server closed the collection, or null. */
  readonly error: BinderyError | null;
  /** The number of writes that are under way or still cover the server's rows. */
  readonly pending: number;
}

/** How one version became the next. */
export interface ChangeEvent<T = any> extends PlatformEvent {}
export class ChangeEvent<T = any> {
  readonly created: readonly T[];
  readonly updated: readonly T[];
  /** The updated rows before the change, in the same places. */
  readonly previous: readonly T[];
  /** The deleted rows before the change. */
  readonly deleted: readonly T[];
  readonly version: string;
}

export interface ProblemEvent extends PlatformEvent {}
export class ProblemEvent {
  readonly error: Error;
}

interface CollectionEvents<T> {
  change: ChangeEvent<T>;
  status: PlatformEvent;
  version: PlatformEvent;
  error: ProblemEvent;
}

/** The rows of a binding, in its order, always current. It is also a Svelte store. */
export class Collection<T extends object = any> extends Target<CollectionEvents<T>> implements Iterable<T> {
  private constructor();
  readonly name: string;
  readonly params: Params | undefined;
  /** Resolves with the first version; rejects if the collection is closed before. */
  readonly ready: Promise<this>;
  /** All properties below in one frozen object; a new object after each change. */
  readonly state: State<T>;
  /** Frozen; a new array for each version with other rows. */
  readonly rows: readonly T[];
  readonly size: number;
  readonly version: string;
  readonly lastModified: string;
  readonly status: Status;
  readonly error: BinderyError | null;
  [Symbol.iterator](): Iterator<T>;
  get(key: Key<T>): T | undefined;
  has(key: Key<T>): boolean;
  /** The number of writes that are under way or still cover the server's rows. */
  readonly pending: number;
  /** Creates a row. It shows at once, and disappears if the server refuses it. */
  create(row: Partial<T>, options?: WriteOptions): Written<T>;
  /**
   * Changes columns of the row with the key (JSON merge patch). It shows at once, and
   * is undone if the server refuses it.
   */
  update(key: Key<T>, columns: Partial<T>, options?: ChangeOptions): Written<T>;
  /** Removes the row with the key. It disappears at once, and comes back if the server refuses it. */
  remove(key: Key<T>, options?: ChangeOptions): Written<null>;
  /** Waits for a condition, for a version, or until the rows include every commit up to a mark. */
  waitFor(what: ((collection: this) => unknown) | { version: string } | { mark: string }, options?: { signal?: Signal; timeout?: number }): Promise<this>;
  /** Calls fn for the events of a type. Returns a function that stops this. */
  on<K extends keyof CollectionEvents<T>>(type: K, fn: (event: CollectionEvents<T>[K]) => void): () => void;
  /** Calls fn with the state now and after each change. Returns a function that stops this. */
  subscribe(fn: (state: State<T>) => void): () => void;
  /** Closes the collection. The client leaves the binding when its last collection is closed. */
  close(): void;
}

export {};
