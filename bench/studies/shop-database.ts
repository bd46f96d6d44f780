/**
 * A shop's database as one would be made for it: normalised, every query on an index, statistics up to date; and what its pages ask of it.
 *
 * The rows are made by the database itself, from their numbers, so that two runs have the same ones. Sizes are drawn so that all of it lies in the
 * database's memory: what is compared with a cache is the work of queries, not of a disk.
 */
import type pg from 'pg'

export interface ShopSizes {
  readonly products: number
  readonly users: number
}

const TABLES = `
  create table brands (id int primary key, name text not null, country text not null);
  create table categories (id int primary key, parent_id int references categories, name text not null);
  create table products (
    id int primary key, name text not null, brand_id int not null references brands, category_id int not null references categories,
    description text not null, specs jsonb not null, sold int not null
  );
  create table product_images (product_id int references products, place int, url text not null, primary key (product_id, place));
  create table prices (product_id int primary key references products, currency text not null, amount numeric(12, 2) not null, retail numeric(12, 2));
  create table stock (product_id int primary key references products, quantity int not null);
  create table users (id int primary key, name text not null, email text not null, joined_on date not null);
  create table addresses (user_id int references users, place int, street text not null, city text not null, country text not null, primary key (user_id, place));
  create table preferences (user_id int references users, name text, value text not null, primary key (user_id, name));
  create table reviews (
    id bigint primary key, product_id int not null references products, user_id int not null references users, rating smallint not null,
    words text not null, written_at timestamptz not null
  );
  create table orders (id bigint primary key, user_id int not null references users, status text not null, placed_at timestamptz not null);
  create table order_lines (
    order_id bigint references orders, place int, product_id int not null references products, quantity int not null, amount numeric(12, 2) not null,
    primary key (order_id, place)
  );
  create table carts (id int primary key references users, changed_at timestamptz not null, version bigint not null);
  create table cart_items (cart_id int references carts, product_id int references products, quantity int not null, primary key (cart_id, product_id));
`

const INDEXES = `
  create index products_by_category on products (category_id, sold desc);
  create index reviews_latest on reviews (product_id, written_at desc) include (rating);
  create index orders_of_user on orders (user_id, placed_at desc);
`

/** `P` and `U` are the numbers of products and users. */
const ROWS = `
  insert into brands select i, 'Brand ' || i, (array['DE', 'IN', 'JP', 'US'])[1 + i % 4] from generate_series(0, 199) i;
  insert into categories select i, case when i >= 10 then i / 10 - 1 end, 'Category ' || i from generate_series(0, 109) i;
  insert into products select i, 'Product ' || i || ' of brand ' || i % 200, i % 200, 10 + (i * 7) % 100,
    repeat('Hard-wearing, easy to clean and tested by people who use it every day. ', 6 + i % 9),
    (select jsonb_agg(jsonb_build_object('key', 'Property ' || n, 'value', 'Value ' || (i * n) % 50)) from generate_series(1, 12) n), (i * 7919) % 5000
    from generate_series(0, P - 1) i;
  insert into product_images select i, n, 'https://img.example/' || i || '/' || n || '.jpeg' from generate_series(0, P - 1) i, generate_series(1, 5) n;
  insert into prices select i, 'EUR', 5 + (i % 900) / 10.0, 8 + (i % 900) / 10.0 from generate_series(0, P - 1) i;
  insert into stock select i, (i * 37) % 500 from generate_series(0, P - 1) i;
  insert into users select i, 'User ' || i, 'user' || i || '@mail.example', date '2015-01-01' + i % 3650 from generate_series(0, U - 1) i;
  insert into addresses select i, n, n || ' Example Street', 'City ' || i % 300, 'DE' from generate_series(0, U - 1) i, generate_series(1, 2) n;
  insert into preferences select i, 'preference ' || n, 'choice ' || (i + n) % 7 from generate_series(0, U - 1) i, generate_series(1, 6) n;
  insert into reviews select i::bigint * 30 + n, i, (i * 31 + n * 17) % U, 1 + (i + n) % 5,
    repeat('It does its work and the parcel was well packed. ', 1 + n % 4), timestamptz '2025-01-01' + ((i * 13 + n * 29) % 500000) * interval '1 minute'
    from generate_series(0, P - 1) i, generate_series(1, 25) n;
  insert into orders select i::bigint * 12 + n, i, (array['sent', 'delivered', 'returned'])[1 + (i + n) % 3],
    timestamptz '2025-01-01' + ((i * 7 + n * 41) % 500000) * interval '1 minute' from generate_series(0, U - 1) i, generate_series(0, 11) n;
  insert into order_lines select o, n, (o * 13 + n * 101) % P, 1 + n % 3, 9.90 + n from generate_series(0, U * 12 - 1) o, generate_series(1, 3) n;
  insert into carts select i, now(), 1 from generate_series(0, U - 1) i;
  insert into cart_items select i, (i * 7 + n * 97) % P, 1 + n % 3 from generate_series(0, U - 1) i, generate_series(1, 5) n on conflict do nothing;
`

export async function makeShop(pool: pg.Pool, { products, users }: ShopSizes): Promise<void> {
  await pool.query(TABLES)
  await pool.query(ROWS.replaceAll(/\bP\b/g, String(products)).replaceAll(/\bU\b/g, String(users)))
  await pool.query(INDEXES)
  await pool.query('vacuum analyze')
  await pool.query('checkpoint')
}

/** `$1`: a product. All that its page shows, in one statement: what it is, its pictures and price, what was said of it, what else there is. */
export const PRODUCT_PAGE = `
  select p.id, p.name, p.description, p.specs,
    json_build_object('name', b.name, 'country', b.country) as brand,
    (with recursive up as (
       select c.id, c.parent_id, c.name, 0 as height from categories c where c.id = p.category_id
       union all select c.id, c.parent_id, c.name, up.height + 1 from categories c join up on c.id = up.parent_id)
     select json_agg(name order by height desc) from up) as category,
    (select json_agg(url order by place) from product_images where product_id = p.id) as images,
    json_build_object('currency', m.currency, 'amount', m.amount, 'retail', m.retail) as price, s.quantity as stock,
    (select json_build_object('count', count(*), 'average', round(avg(rating), 2)) from reviews where product_id = p.id) as rating,
    (select json_agg(json_build_object('rating', r.rating, 'words', r.words, 'at', r.written_at, 'by', u.name) order by r.written_at desc)
       from (select * from reviews where product_id = p.id order by written_at desc limit 5) r join users u on u.id = r.user_id) as reviews,
    (select json_agg(json_build_object('id', o.id, 'name', o.name, 'amount', op.amount, 'image', oi.url) order by o.sold desc)
       from (select * from products where category_id = p.category_id and id <> p.id order by sold desc limit 6) o
       join prices op on op.product_id = o.id join product_images oi on oi.product_id = o.id and oi.place = 1) as others
  from products p join brands b on b.id = p.brand_id join prices m on m.product_id = p.id join stock s on s.product_id = p.id
  where p.id = $1`

/** `$1`: a user. Who they are, where they live, what they like, and what they ordered. */
export const USER_PROFILE = `
  select u.id, u.name, u.email, u.joined_on::text as joined,
    (select json_agg(json_build_object('street', street, 'city', city, 'country', country) order by place) from addresses where user_id = u.id) as addresses,
    (select json_object_agg(name, value) from preferences where user_id = u.id) as preferences,
    (select json_build_object('orders', count(distinct o.id), 'spent', sum(l.quantity * l.amount))
       from orders o join order_lines l on l.order_id = o.id where o.user_id = u.id) as totals,
    (select json_agg(json_build_object('id', o.id, 'status', o.status, 'at', o.placed_at, 'lines',
         (select json_agg(json_build_object('name', p.name, 'quantity', l.quantity, 'amount', l.amount) order by l.place)
            from order_lines l join products p on p.id = l.product_id where l.order_id = o.id)) order by o.placed_at desc)
       from (select * from orders where user_id = u.id order by placed_at desc limit 10) o) as orders
  from users u where u.id = $1`

/** Of one update of a cart, in a transaction: `$1` the cart; `$2` and `$3` the product and its quantity. */
export const CART = {
  lock: 'select version from carts where id = $1 for update',
  read: 'select product_id as product, quantity from cart_items where cart_id = $1 order by product_id',
  put: 'insert into cart_items values ($1, $2, $3) on conflict (cart_id, product_id) do update set quantity = excluded.quantity',
  touch: 'update carts set changed_at = now(), version = version + 1 where id = $1',
} as const

/** The plans of what is measured, as the database says that it carried them out. Nothing is changed. */
export async function plansOf(pool: pg.Pool): Promise<string> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const statements: [string, string, unknown[]][] = [
      ['product page', PRODUCT_PAGE, [7]],
      ['user profile', USER_PROFILE, [7]],
      ['cart update, 1 of 4', CART.lock, [7]],
      ['cart update, 2 of 4', CART.read, [7]],
      ['cart update, 3 of 4', CART.put, [7, 8, 2]],
      ['cart update, 4 of 4', CART.touch, [7]],
    ]
    const plans: string[] = []
    for (const [name, text, values] of statements) {
      await client.query(text, values)
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain (analyze, buffers) ${text}`, values)
      plans.push(`  ${name}`, ...rows.map((row) => `    ${row['QUERY PLAN']}`))
    }
    return plans.join('\n')
  } finally {
    await client.query('rollback')
    client.release()
  }
}
