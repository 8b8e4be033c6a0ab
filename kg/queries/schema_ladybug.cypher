// The tables of the embedded store; a shop's further properties and links are added to them.
CREATE NODE TABLE User(id STRING PRIMARY KEY);
CREATE NODE TABLE Product(id STRING PRIMARY KEY, name STRING, text STRING, price DOUBLE);
CREATE NODE TABLE Brand(id STRING PRIMARY KEY, name STRING);
CREATE NODE TABLE Category(id STRING PRIMARY KEY, name STRING, level INT64);
CREATE NODE TABLE Graph(id STRING PRIMARY KEY, shop STRING, fingerprint STRING, layout STRING);
CREATE NODE TABLE Run(id STRING PRIMARY KEY, made_at STRING, now INT64, half_life DOUBLE, exponent DOUBLE, learned_before INT64, repeat BOOL);
CREATE REL TABLE BOUGHT(FROM User TO Product, at INT64, quantity DOUBLE, spend DOUBLE, discount DOUBLE, coupon DOUBLE, fold STRING);
CREATE REL TABLE HAS_BRAND(FROM Product TO Brand);
CREATE REL TABLE IN_CATEGORY(FROM Product TO Category);
CREATE REL TABLE SUBCATEGORY_OF(FROM Category TO Category);
CREATE REL TABLE RELATED(FROM Product TO Product, run STRING, weight DOUBLE, bought DOUBLE, brand DOUBLE, category DOUBLE, text DOUBLE, links DOUBLE, network DOUBLE, repeat DOUBLE, near DOUBLE);
CREATE REL TABLE RECOMMENDED(FROM User TO Product, run STRING, rank INT64, score DOUBLE, reason_kind STRING, reason_via STRING, reason_share DOUBLE);
CREATE REL TABLE PREFERS(FROM User TO Brand, FROM User TO Category, run STRING, weight DOUBLE, lift DOUBLE, purchases INT64, last_at INT64);
