package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/wattle-storage/wattle/energy"
)

// A How is how a drive was recognised, from the firmest to the weakest.
type How string

// The ways of recognising a drive.
const (
	Exact  How = "exact"  // figures of this model were read
	Family How = "family" // figures of another capacity or edition of its product line
	Class  How = "class"  // the product line is known, or only capacity and technology: figures of all such drives
	Hidden How = "hidden" // a RAID volume or a virtual disk stands before the drive
)

// A Match is what a drive was recognised as.
type Match struct {
	Product    string
	Technology string // "air", "helium", "smr", "ssd" or "hdd" when the gas is not known
	Profile    string // id in the energy model; "" when only the class is known
	How        How
	Why        string
}

// A line is a product line: models that match, what they turn in, and the profile whose figures
// were read, with the models that are exactly the profile's.
type line struct {
	model      string // regular expression at the start of the model without its maker
	product    string
	technology string
	profile    string
	exact      string // of the models that the profile is of; "" is none
}

// lines is what model numbers mean. Families and helium follow smartmontools' drive database
// (7.3) where it has them, makers' numbering elsewhere. The first that matches counts.
var lines = []line{
	{"HUS726060ALA64", "Ultrastar He6", "helium", "hgst-he6-6tb", "HUS726060ALA64"},
	{"HUH7280", "Ultrastar He8", "helium", "hgst-8tb-sas", "HUH728080ALS"},
	{"HUH7210(08|10)", "Ultrastar He10", "helium", "hgst-he10-10tb", "HUH721010"},
	{"HUH7212", "Ultrastar He12", "helium", "hgst-he12-12tb", "HUH721212"},
	{"HSH721415", "Ultrastar DC HC620", "smr", "wd-hc620-15tb", "HSH721415"},
	{"HSH7214", "Ultrastar Hs14", "smr", "hgst-hs14-14tb", "HSH721414"},
	{"HUS726T[46]", "Ultrastar DC HC310", "air", "", ""},
	{"HUS728T", "Ultrastar DC HC320", "air", "", ""},
	{"HUS7260", "Ultrastar 7K6000", "air", "", ""},
	{"HUS724", "Ultrastar 7K4000", "air", "", ""},
	{"HUS722", "Ultrastar 7K2", "air", "", ""},
	{"WUS7210", "Ultrastar DC HC330", "air", "", ""},
	{"HU[ACS][0-9]|H[DM]S[57]", "Ultrastar, Deskstar, MegaScale", "air", "", ""},
	{"WUH7214", "Ultrastar DC HC530", "helium", "", ""},
	{"WUH7218", "Ultrastar DC HC550", "helium", "", ""},
	{"WUH7220", "Ultrastar DC HC560", "helium", "", ""},
	{"WUH7222", "Ultrastar DC HC570", "helium", "wd-hc570-22tb", "WUH722222"},
	{"WUH7224", "Ultrastar DC HC580", "helium", "wd-hc580-24tb", "WUH722424"},
	{"WUH72", "Ultrastar DC", "helium", "", ""},
	{"WSH7220", "Ultrastar DC HC650", "smr", "", ""},
	{"WSH7228", "Ultrastar DC HC680", "smr", "wd-hc680-28tb", "WSH722828"},
	{"WSH72", "Ultrastar DC, shingled", "smr", "", ""},

	{"ST4000NM0033|ST4000NM0053", "Constellation ES.3", "air", "seagate-es3-4tb-sata", "ST4000NM00[35]3"},
	{"ST4000NM00[246]3", "Constellation ES.3 SAS", "air", "seagate-es3-4tb-sas", "ST4000NM00[246]3"},
	{"ST2000NM00[246]3", "Constellation ES.3 SAS", "air", "seagate-es3-2tb-sas", "ST2000NM00[246]3"},
	{"ST[123]000NM00[2-6]3", "Constellation ES.3", "air", "seagate-es3-2tb-sas", ""},
	{"ST33000650SS", "Constellation ES.2", "air", "seagate-es2-3tb-sas", "ST33000650SS"},
	{"ST32000645SS", "Constellation ES.2", "air", "seagate-es2-2tb-sas", "ST32000645SS"},
	{"ST3(200064[567]|300065[012])[NS]S", "Constellation ES.2", "air", "seagate-es2-2tb-sas", ""},
	{"ST1000NM0001", "Constellation ES.1", "air", "seagate-es1-1tb-sas", "ST1000NM0001"},
	{"ST500NM0011", "Constellation ES.1", "air", "seagate-es1-500gb-sata", "ST500NM0011"},
	{"ST6000NM0(02|03|00)[0-9]", "Enterprise Capacity v4", "air", "seagate-ecv4-6tb-sas", "ST6000NM0034"},
	{"ST8000NM0(04|05|06|07)5", "Enterprise Capacity v5", "air", "seagate-makara-8tb", "ST8000NM0055"},
	{"ST(10000NM0(01|08|20)6|10000NM0096|8000NM0(01|20)6)", "Exos X10", "helium", "", ""},
	{"ST12000NM0(00|01|02|03)7", "Exos X12", "helium", "seagate-x12-12tb", "ST12000NM0(00|01|02|03)7"},
	{"ST(14000NM0..8|12000NM0..8|10000NM0(47|56)8)", "Exos X14", "helium", "", ""},
	{"ST10000NM0..[68]", "Exos X10, X14", "helium", "", ""},
	{"ST16000NM00.G", "Exos X16", "helium", "seagate-x16-16tb", "ST16000NM00.G"},
	{"ST1[024]000NM00.G", "Exos X16", "helium", "seagate-x16-16tb", ""},
	{"ST1[02468]000NM0..J", "Exos X18", "helium", "", ""},
	{"ST(18|20)000NM00.D", "Exos X20", "helium", "", ""},
	{"ST22000NM00.E", "Exos X22", "helium", "seagate-x22-22tb", "ST22000NM00.E"},
	{"ST20000NM00.E", "Exos X22", "helium", "seagate-x22-22tb", ""},
	{"ST24000NM00.H", "Exos X24", "helium", "seagate-x24-24tb", "ST24000NM00.H"},
	{"ST26000NM000C", "Exos M", "helium", "seagate-st26000-telemetry", "ST26000NM000C"},
	{"ST30000NM", "Exos M", "helium", "seagate-mozaic-30tb", "ST30000NM"},
	{"ST14000NM0001", "Exos 2X14", "helium", "seagate-2x14-14tb", "ST14000NM0001"},
	{"ST8000AS0003", "Exos 5E8", "smr", "seagate-5e8-8tb", "ST8000AS0003"},
	{"ST[568]000AS00", "Archive HDD", "smr", "gadient-smr-8tb", "ST8000AS0002"},
	{"ST8000VN0(002|022)", "NAS HDD", "air", "seagate-nas-8tb", "ST8000VN0(002|022)"},
	{"ST6000VN0001", "Enterprise NAS", "air", "seagate-enas-6tb", "ST6000VN0001"},
	{"ST10000(VN|VX|DM)0004", "IronWolf, SkyHawk, BarraCuda Pro", "helium", "seagate-10tb-helium", "ST10000(VN|VX|DM)0004"},
	{"ST[1-8]000NM0..A|ST(1|2|4|6|8|10)000NM0..B", "Exos 7E8, 7E10", "air", "", ""},
	{"ST(2000DM008|3000DM007|4000DM004|5000DM000|6000DM003|8000DM004|1000LM048|2000LM015|[345]000LM0(00|24))", "BarraCuda, shingled", "smr", "", ""},
	{"ST[0-9]+(MM|MP)0", "Exos 10E, 15E", "air", "", ""},

	{"MG04SCA50", "MG04", "air", "toshiba-mg04-5tb", "MG04SCA500"},
	{"MG04", "MG04", "air", "toshiba-mg04-5tb", ""},
	{"MG0[356]", "MG03, MG05, MG06", "air", "", ""},
	{"MG(08|10)AD", "MG08-D, MG10-D", "air", "", ""},
	{"MG08.CA16|MG08SCA16", "MG08", "helium", "toshiba-mg08-16tb", "MG08ACA16|MG08SCA16"},
	{"MG08", "MG08", "helium", "toshiba-mg08-16tb", ""},
	{"MG11", "MG11", "helium", "toshiba-mg11-24tb", "MG11ACA24"},
	{"MG(07|09|10)", "MG07, MG09, MG10", "helium", "", ""},
	{"AL1[345]S", "AL13, AL14, AL15", "air", "", ""},

	{"WD40(00F9YZ|01F9YZ)", "Se", "air", "wd-se-4tb", "WD4000F9YZ"},
	{"WD400[123]FF", "Red Pro", "air", "wd-redpro-4tb", "WD4001FFSX"},
	{"WD20E[AZ]R", "Green", "air", "wd-green-2tb", "WD20E[AZ]R"},
	{"WD(80E[FZ]ZX|80EFAX|100EFAX|120EMFZ|(80|100|120)E[MZ]AZ|101KFBX|1[24]1KRYZ)", "Red, Gold", "helium", "", ""},
	{"WD[2346]0EFAX", "Red, shingled", "smr", "", ""},

	{"SSDPF2NV153", "D5-P5316", "ssd", "solidigm-p5316-15tb", "SSDPF2NV153"},
	{"SSDPF2NV307", "D5-P5316", "ssd", "solidigm-p5316-31tb", "SSDPF2NV307"},
	{"SB[FI]PF.*614T", "D5-P5336", "ssd", "solidigm-p5336-61tb", "SB[FI]PF.*614T"},
	{"6500[_ ]", "6500 ION", "ssd", "micron-6500ion-31tb", "6500[_ ].*30T7"},
	{"SSD|MZ[0-9A-Z]{5}|MTFD|[5-9][0-9]{2}0[_ ](MAX|PRO|ECO|ION|MTFD)|K(CD|CM|PM|XG|XD)[0-9]|PX0[45]|XS[0-9]+[ES]|HUS[MPST][HLMRT]|SN[0-9]{3} |WUS[345][BCE]|WDS[0-9]|HFS|SDL[FL]|SD[6-9]S|PE[0-9]{4} |MEMPE|THNS|S(EDC|A400|KC)[0-9]|ZA[0-9]+[CN]M|CT[0-9]+|VK[0-9]+|LK[0-9]+|MK[0-9]{6}|DELL ENT NVME|NVME", "solid-state drive", "ssd", "", ""},
}

// byController is what hides the drives of a RAID volume.
const byController = "a RAID controller"

// hidden is what stands before a drive and hides it.
var hidden = []struct{ word, what string }{
	{"PERC", byController}, {"DELLBOSS", byController}, {"ASR7", byController}, {"ASR8", byController}, {"ARC-1", byController}, {"9650SE", byController}, {"9750-", byController}, {"MEGARAID", byController}, {"LOGICAL VOLUME", byController}, {"SMC3", byController}, {"MR9", byController}, {"AVAGO", byController},
	{"LSI", byController}, {"SERVERAID", byController}, {"RAID", byController}, {"AACRAID", byController},
	{"LUN C-MODE", "a storage array"}, {"FLASHARRAY", "a storage array"}, {"2810XIV", "a storage array"}, {"SYMMETRIX", "a storage array"}, {"COMPELNT", "a storage array"}, {"3PARDATA", "a storage array"},
	{"QEMU", "a virtual machine"}, {"VIRTUAL", "a virtual machine"}, {"VMWARE", "a virtual machine"}, {"VBOX", "a virtual machine"}, {"VIRTIO", "a virtual machine"}, {"VIRT-DISK", "a virtual machine"}, {"MSFT", "a virtual machine"},
	{"AMAZON", "a cloud"}, {"PERSISTENTDISK", "a cloud"}, {"GOOGLE", "a cloud"}, {"BLOCKVOLUME", "a cloud"}, {"NVME CARD", "a cloud"}, {"ELASTIC BLOCK", "a cloud"}, {"MICROSOFT NVME", "a cloud"},
}

var makers = regexp.MustCompile(`^(ATA|SEAGATE|WDC|WD|HGST|HITACHI/HGST|HITACHI|TOSHIBA|SAMSUNG|INTEL|SOLIDIGM|MICRON|KIOXIA|WESTERN DIGITAL|WESTERNDIGITAL|IBM-\w+|HPE?|DELL|NETAPP|LENOVO|SANDISK|KINGSTON)[ _]+`)

type compiled struct {
	line
	any, own *regexp.Regexp
}

var modelTable = sync.OnceValue(func() []compiled {
	list := make([]compiled, len(lines))
	for i, l := range lines {
		list[i] = compiled{l, regexp.MustCompile("^(?:" + l.model + ")"), nil}
		if l.exact != "" {
			list[i].own = regexp.MustCompile("^(?:" + l.exact + ")")
		}
	}
	return list
})

// bare is a model without its maker, in capitals.
func bare(model string) string {
	m := strings.ToUpper(strings.TrimSpace(model))
	for {
		rest := makers.ReplaceAllString(m, "")
		if rest == m || rest == "" {
			return m
		}
		m = rest
	}
}

func lineOf(model string) (compiled, bool) {
	m := bare(model)
	for _, l := range modelTable() {
		if l.any.MatchString(m) {
			return l, true
		}
	}
	return compiled{}, false
}

// knownModel tells whether a word is a model number that is known.
func knownModel(word string) bool {
	_, ok := lineOf(word)
	return ok
}

// hiddenBy tells what hides the drive behind a model, or "".
func hiddenBy(model string) string {
	m := strings.ToUpper(strings.ReplaceAll(model, "_", " "))
	for _, h := range hidden {
		if strings.Contains(m, h.word) {
			return h.what
		}
	}
	return ""
}

// Recognise tells what a drive is by its model, its helium attributes, and failing that by
// capacity and by whether it turns.
func Recognise(d Drive) Match {
	if what := hiddenBy(d.Model); what != "" {
		tech := byCapacity(d)
		return Match{Technology: tech, How: Hidden, Why: fmt.Sprintf("%s hides the drive: watts of all %s drives", what, tech)}
	}
	l, ok := lineOf(d.Model)
	if !ok {
		tech := byCapacity(d)
		why := fmt.Sprintf("no figures of %q: watts of all %s drives", d.Model, techName(tech))
		if d.Model == "" {
			why = fmt.Sprintf("no model: watts of all %s drives, by capacity and kind", techName(tech))
		}
		return Match{Technology: tech, How: Class, Why: why}
	}
	m := Match{Product: l.product, Technology: l.technology, How: Class}
	if d.helium == yes && m.Technology == "air" {
		m.Technology = "helium"
	}
	if l.profile != "" && hasWatts(l.profile) && m.Technology == l.technology {
		m.Profile, m.How = l.profile, Family
		if l.own != nil && l.own.MatchString(bare(d.Model)) {
			m.How = Exact
		}
	}
	switch m.How {
	case Exact:
		m.Why = l.product + ": figures of this model"
	case Family:
		m.Why = l.product + ": figures of another drive of the line"
	default:
		m.Why = fmt.Sprintf("%s: no figures of it were read, watts of all %s drives", l.product, techName(m.Technology))
	}
	return m
}

// hasWatts tells whether anything was published of what a profile draws.
func hasWatts(id string) bool {
	p, err := energy.Lookup(id)
	return err == nil && p.Verified && (p.IdleW > 0 || p.ActiveW > 0 || p.MeanW > 0 || p.SeqW > 0)
}

func techName(t string) string {
	if t == "smr" {
		return "shingled"
	}
	return t
}

// saysSolid is a model that says that nothing turns.
var saysSolid = regexp.MustCompile(`(?i)\bSSD|NVMe|flash|\bZA[0-9]+[CN]M`)

// byCapacity guesses the technology. Drives of 12 TB and more are sealed with helium (the
// largest in air, MG06 and HC330, have 10 TB), those up to 6 TB turn in air but for He6, which
// its model tells; 8 and 10 TB may be either.
func byCapacity(d Drive) string {
	tb := float64(d.Bytes) / 1e12
	switch {
	case d.helium == yes:
		return "helium"
	case d.spins == no, d.Class == "ssd", d.Class == "nvme":
		return "ssd"
	case d.spins == unknown && d.Class != "hdd" && (slices.Contains(solidTB, tb) || saysSolid.MatchString(d.Model)):
		return "ssd"
	case tb >= 11:
		return "helium"
	case d.helium == no, tb > 0 && tb < 7:
		return "air"
	}
	return "hdd"
}
